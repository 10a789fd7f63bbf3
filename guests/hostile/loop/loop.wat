;; Two loops that never end, one calling the other: no return, no host call, no memory.
(component
  (core module $m
    (func $inner (param $n i32) (result i32)
      (loop $again
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br_if $again (local.get $n)))
      (local.get $n))
    (func (export "run")
      (loop $for_ever
        (drop (call $inner (i32.const 1000)))
        (br $for_ever))))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
