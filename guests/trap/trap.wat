;; A trap three named functions deep: the error must show `innermost`, `middle` and
;; `outermost`, which only the name section of the core module knows.
(component
  (core module $trapping
    (func $innermost (unreachable))
    (func $middle (call $innermost))
    (func $outermost (export "run") (call $middle)))
  (core instance $i (instantiate $trapping))
  (func (export "run") (canon lift (core func $i "run"))))
