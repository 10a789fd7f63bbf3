;; A guest that traps before any export can be called, in the start function of its core
;; module.
(component
  (core module $m
    (func $initialize (unreachable))
    (start $initialize)
    (func (export "run")))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
