;; A plain core module without a custom section: its own types serve as its interface,
;; or a `wit` of `compute: func(a: s32, b: s32) -> s32;`. Nothing here has a name, as names
;; would make a custom section.
(module
  (func (export "compute") (param i32 i32) (result i32)
    (i32.mul (local.get 0) (local.get 1))))
