;; Never comes to its method: the start function of its second module loops.
(component
  (core module $quiet (func (export "run")))
  (core module $busy
    (import "quiet" "run" (func $run))
    (func $start (loop $for_ever (call $run) (br $for_ever)))
    (start $start))
  (core instance $quiet_i (instantiate $quiet))
  (core instance (instantiate $busy (with "quiet" (instance $quiet_i))))
  (func (export "run") (canon lift (core func $quiet_i "run"))))
