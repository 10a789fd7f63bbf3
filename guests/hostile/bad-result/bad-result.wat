;; Its result is a string of 4 GiB less one byte, at the end of a memory of 64 KiB.
(component
  (core module $m
    (memory (export "memory") 1)
    (func (export "run") (result i32)
      (i32.store (i32.const 0) (i32.const 0xffff))
      (i32.store (i32.const 4) (i32.const -1))
      (i32.const 0)))
  (core instance $i (instantiate $m))
  (func (export "run") (result string)
    (canon lift (core func $i "run") (memory $i "memory"))))
