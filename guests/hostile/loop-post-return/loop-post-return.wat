;; Returns a good result, and never ends the function that frees it.
(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "run") (result i32)
      (i32.store (i32.const 0) (i32.const 100))
      (i32.store (i32.const 4) (i32.const 0))
      (i32.const 0))
    (func (export "post") (param i32) (loop $for_ever (br $for_ever))))
  (core instance $i (instantiate $m))
  (func (export "run") (result string)
    (canon lift (core func $i "run") (memory $i "memory") (post-return (func $i "post")))))
