;; Fills 32 MiB of memory with one instruction, for ever: inside of one nothing stops it.
(component
  (core module $m
    (memory 512)
    (func (export "run")
      (loop $for_ever
        (memory.fill (i32.const 0) (i32.const 7) (i32.const 33554432))
        (br $for_ever))))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
