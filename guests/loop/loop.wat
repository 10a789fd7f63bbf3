;; A call that never returns: a busy loop which calls nothing, so that only fuel or an
;; epoch can stop it.
(component
  (core module $m
    (func $forever (export "run")
      (loop $again (br $again))))
  (core instance $i (instantiate $m))
  (func (export "run") (canon lift (core func $i "run"))))
