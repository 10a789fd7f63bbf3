;; What keeps a processor busy, for the bench `preempt`: calls, a loop over memory, a sieve,
;; one bulk operation, a loop without end; and naps that measure how late they are.
(component
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $imported))
    (export "pollable" (type $pollable (eq $imported)))
    (type $u64 u64)
    (export "instant" (type $instant (eq $u64)))
    (export "duration" (type $duration (eq $u64)))
    (export "now" (func (result $instant)))
    (export "subscribe-duration"
      (func (param "when" $duration) (result (own $pollable))))))

  (core func $now (canon lower (func $clock "now")))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $drop (canon resource.drop $pollable))

  (core module $m
    (import "wasi" "now" (func $now (result i64)))
    (import "wasi" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "wasi" "block" (func $block (param i32)))
    (import "wasi" "drop" (func $drop (param i32)))
    (memory (export "memory") 64)

    (func $fib (export "fib") (param $n i32) (result i32)
      (if (result i32) (i32.lt_u (local.get $n) (i32.const 2))
        (then (local.get $n))
        (else (i32.add
          (call $fib (i32.sub (local.get $n) (i32.const 1)))
          (call $fib (i32.sub (local.get $n) (i32.const 2)))))))

    ;; Adds up a megabyte of memory, so many times.
    (func (export "sum") (param $times i32) (result i32)
      (local $at i32) (local $sum i32)
      (loop $again
        (local.set $at (i32.const 0))
        (loop $next
          (local.set $sum (i32.add (local.get $sum) (i32.load (local.get $at))))
          (i32.store (local.get $at) (local.get $sum))
          (local.set $at (i32.add (local.get $at) (i32.const 4)))
          (br_if $next (i32.lt_u (local.get $at) (i32.const 1048576))))
        (local.set $times (i32.sub (local.get $times) (i32.const 1)))
        (br_if $again (local.get $times)))
      (local.get $sum))

    ;; Counts the primes below a million, so many times.
    (func (export "sieve") (param $times i32) (result i32)
      (local $i i32) (local $j i32) (local $count i32)
      (loop $again
        (memory.fill (i32.const 0) (i32.const 1) (i32.const 1000000))
        (local.set $count (i32.const 0))
        (local.set $i (i32.const 2))
        (loop $outer
          (if (i32.load8_u (local.get $i))
            (then
              (local.set $count (i32.add (local.get $count) (i32.const 1)))
              (local.set $j (i32.shl (local.get $i) (i32.const 1)))
              (block $crossed
                (loop $cross
                  (br_if $crossed (i32.ge_u (local.get $j) (i32.const 1000000)))
                  (i32.store8 (local.get $j) (i32.const 0))
                  (local.set $j (i32.add (local.get $j) (local.get $i)))
                  (br $cross)))))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $outer (i32.lt_u (local.get $i) (i32.const 1000000))))
        (local.set $times (i32.sub (local.get $times) (i32.const 1)))
        (br_if $again (local.get $times)))
      (local.get $count))

    ;; Fills so many MiB at once, twice, because the first time pages come in; gives the
    ;; microseconds that the second took.
    (func (export "fill") (param $mib i32) (result i32)
      (local $begun i64)
      (drop (memory.grow (i32.shl (local.get $mib) (i32.const 4))))
      (memory.fill (i32.const 4194304) (i32.const 1) (i32.shl (local.get $mib) (i32.const 20)))
      (local.set $begun (call $now))
      (memory.fill (i32.const 4194304) (i32.const 2) (i32.shl (local.get $mib) (i32.const 20)))
      (i32.wrap_i64 (i64.div_u (i64.sub (call $now) (local.get $begun)) (i64.const 1000))))

    (func (export "spin") (param i32) (result i32) (loop $again (br $again)) (i32.const 0))

    ;; Sleeps so many times for 3 ms; gives how late each was, in microseconds.
    (func (export "naps") (param $times i32) (result i32)
      (local $at i32) (local $begun i64) (local $pollable i32)
      (local.set $at (i32.const 16))
      (i32.store (i32.const 0) (i32.const 16))
      (i32.store (i32.const 4) (local.get $times))
      (loop $again
        (local.set $begun (call $now))
        (local.set $pollable (call $subscribe (i64.const 3000000)))
        (call $block (local.get $pollable))
        (call $drop (local.get $pollable))
        (i32.store (local.get $at) (i32.wrap_i64 (i64.div_u
          (i64.sub (i64.sub (call $now) (local.get $begun)) (i64.const 3000000))
          (i64.const 1000))))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (local.set $times (i32.sub (local.get $times) (i32.const 1)))
        (br_if $again (local.get $times)))
      (i32.const 0)))
  (core instance $i (instantiate $m
    (with "wasi" (instance
      (export "now" (func $now))
      (export "subscribe" (func $subscribe))
      (export "block" (func $block))
      (export "drop" (func $drop))))))

  (func (export "fib") (param "n" u32) (result u32) (canon lift (core func $i "fib")))
  (func (export "sum") (param "n" u32) (result u32) (canon lift (core func $i "sum")))
  (func (export "sieve") (param "n" u32) (result u32) (canon lift (core func $i "sieve")))
  (func (export "fill") (param "n" u32) (result u32) (canon lift (core func $i "fill")))
  (func (export "spin") (param "n" u32) (result u32) (canon lift (core func $i "spin")))
  (func (export "naps") (param "n" u32) (result (list s32))
    (canon lift (core func $i "naps") (memory $i "memory"))))
