;; What one small process costs: a component with one page of memory, importing nothing.
;; It is nameless, so that the binary is as small as it gets.
(component
  (core module
    (memory (export "memory") 1)
    (func (export "compute") (param i32 i32) (result i32)
      (i32.store (i32.const 0) (i32.mul (local.get 0) (local.get 1)))
      (i32.load (i32.const 0))))
  (core instance (instantiate 0))
  (alias core export 0 "compute" (core func))
  (type (func (param "a" u32) (param "b" u32) (result u32)))
  (func (type 0) (canon lift (core func 0)))
  (export "compute" (func 0)))
