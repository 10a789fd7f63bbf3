;; Grows its memory page by page and writes to each, and does not take no for an answer.
(component
  (core module $m
    (memory 1)
    (func (export "run")
      (local $page i32)
      (loop $again
        (local.set $page (memory.grow (i32.const 1)))
        (if (i32.ne (local.get $page) (i32.const -1))
          (then
            (i32.store (i32.mul (local.get $page) (i32.const 65536)) (i32.const 1))
            (br $again))))
      (unreachable)))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
