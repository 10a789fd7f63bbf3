;; A guest that hangs before any export can be called: the start function of its core
;; module is a busy loop, so that already instantiation must be bounded.
(component
  (core module $m
    (func $forever
      (loop $again (br $again)))
    (start $forever)
    (func (export "run")))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
