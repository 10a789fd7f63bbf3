;; Asks for memory that it is refused, for ever.
(component
  (core module $m
    (memory 1)
    (func (export "run")
      (loop $for_ever
        (drop (memory.grow (i32.const 65535)))
        (br $for_ever))))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
