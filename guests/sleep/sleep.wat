;; Sleeps inside a host call: subscribes to the monotonic clock and blocks on the pollable.
;; The same function is exported at the root and, as `test-sleep#sleep-ms`, by an
;; interface. It imports the oldest WASI 0.2, which every later one must serve.
(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $imported))
    (export "pollable" (type $pollable (eq $imported)))
    (type $u64 u64)
    (export "duration" (type $duration (eq $u64)))
    (export "subscribe-duration"
      (func (param "when" $duration) (result (own $pollable))))))

  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $drop (canon resource.drop $pollable))

  (core module $m
    (import "wasi" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "wasi" "block" (func $block (param i32)))
    (import "wasi" "drop" (func $drop (param i32)))
    (func (export "sleep-ms") (param $ms i32)
      (local $pollable i32)
      (local.set $pollable
        (call $subscribe
          (i64.mul (i64.extend_i32_u (local.get $ms)) (i64.const 1000000))))
      (call $block (local.get $pollable))
      (call $drop (local.get $pollable))))
  (core instance $i (instantiate $m
    (with "wasi" (instance
      (export "subscribe" (func $subscribe))
      (export "block" (func $block))
      (export "drop" (func $drop))))))

  (func $sleep (param "ms" u32) (canon lift (core func $i "sleep-ms")))
  (export "sleep-ms" (func $sleep))
  (instance $test_sleep (export "sleep-ms" (func $sleep)))
  (export "test-sleep" (instance $test_sleep)))
