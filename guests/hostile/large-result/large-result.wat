;; Its result is a list of three million empty lists, which take 24 MB in its own memory and
;; many times that in the host's.
(component
  (core module $m
    (memory (export "memory") 380)
    (func (export "run") (result i32)
      (i32.store (i32.const 0) (i32.const 8))
      (i32.store (i32.const 4) (i32.const 3000000))
      (i32.const 0)))
  (core instance $i (instantiate $m))
  (func (export "run") (result (list (list u32)))
    (canon lift (core func $i "run") (memory $i "memory"))))
