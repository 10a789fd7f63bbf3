;; Grows its memory, 1 MiB at a time, until that is refused, then traps. It never writes
;; to the memory: without a limit this takes 4 GiB of addresses, but hardly any RAM.
(component
  (core module $m
    (memory 1)
    (func $grow_until_refused (export "run")
      (loop $again
        (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
      (unreachable)))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
