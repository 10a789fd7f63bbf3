;; The smallest guest that takes and gives a string: a component written by hand, with the
;; memory and the allocator that the canonical ABI asks for, and without any import.
(component
  (core module $m
    (memory (export "memory") 1)
    (data (i32.const 0) "Hello, ")

    ;; Start of the free memory; the first bytes hold the greeting and the result.
    (global $free (mut i32) (i32.const 16))

    ;; A bump allocator, which grows the memory when it has to. Only arguments are
    ;; allocated, so that alignment is always 1 and nothing is ever resized.
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (call $alloc (local.get 3)))

    (func $alloc (param $size i32) (result i32)
      (local $start i32)
      (local.set $start (global.get $free))
      (global.set $free (i32.add (local.get $start) (local.get $size)))
      (if (i32.lt_u (global.get $free) (local.get $start)) (then (unreachable)))
      (block $fits
        (loop $grow
          (br_if $fits
            (i64.le_u
              (i64.extend_i32_u (global.get $free))
              (i64.shl (i64.extend_i32_u (memory.size)) (i64.const 16))))
          (br_if $grow (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))
          (unreachable)))
      (local.get $start))

    ;; greet(name) = "Hello, " + name + "!"; the answer is the address of a pointer and a
    ;; length, at 8.
    (func (export "greet") (param $name i32) (param $len i32) (result i32)
      (local $text i32)
      (local.set $text (call $alloc (i32.add (local.get $len) (i32.const 8))))
      (memory.copy (local.get $text) (i32.const 0) (i32.const 7))
      (memory.copy
        (i32.add (local.get $text) (i32.const 7)) (local.get $name) (local.get $len))
      (i32.store8 offset=7 (i32.add (local.get $text) (local.get $len)) (i32.const 33)) ;; !
      (i32.store offset=8 (i32.const 0) (local.get $text))
      (i32.store offset=12 (i32.const 0) (i32.add (local.get $len) (i32.const 8)))
      (i32.const 8))

    ;; After each call all memory is free again, so that one instance can be reused.
    (func (export "reset") (param i32)
      (global.set $free (i32.const 16))))

  (core instance $i (instantiate $m))
  (func (export "greet") (param "name" string) (result string)
    (canon lift
      (core func $i "greet")
      (memory $i "memory")
      (realloc (func $i "realloc"))
      (post-return (func $i "reset")))))
