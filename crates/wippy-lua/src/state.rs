//! The stack of a Lua thread, as Rust code of this crate sees it.
//!
//! A [`State`] exists only in *host mode* (see `heap.rs`): nothing that it does can raise a
//! Lua error, because allocation is never refused, no metamethod is called (all access is
//! raw) and scripts have no finalizers. What has a condition checks it. Code that must call
//! into the guest, and so can raise, is not written with a `State` but with Lua's own API,
//! without Rust values that need dropping (`base.rs`, `coroutine.rs`).

#![allow(unsafe_code)]

use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::slice;

use mlua::ffi::{self, lua_State};

use crate::core::Core;
use crate::frozen;

/// Bytes of the longest text that is a name, an ID, a topic, a duration or the text of an error.
pub(crate) const TEXT_BYTES_MAX: usize = 64 << 10;

/// Slots of the stack that a function may use without asking for more.
const SLOTS: c_int = 20;

/// A key of the registry: the address of a static of its own.
pub(crate) struct Key(#[allow(dead_code)] u8);

impl Key {
    pub(crate) const fn new() -> Self {
        Self(0)
    }

    pub(crate) fn pointer(&'static self) -> *const c_void {
        std::ptr::from_ref(self).cast()
    }
}

/// The types of Lua.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    None,
    Nil,
    Bool,
    Light,
    Number,
    String,
    Table,
    Function,
    Userdata,
    Thread,
}

/// One Lua thread and its stack, in host mode.
#[derive(Clone, Copy)]
pub(crate) struct State<'s> {
    raw: *mut lua_State,
    scope: PhantomData<&'s Core>,
}

impl<'s> State<'s> {
    /// # Safety
    ///
    /// `raw` is a thread of a live VM of this crate, nobody else uses the VM during `'s`,
    /// and it is in host mode.
    pub(crate) unsafe fn new(raw: *mut lua_State) -> Self {
        Self { raw, scope: PhantomData }
    }

    pub(crate) fn raw(self) -> *mut lua_State {
        self.raw
    }

    /// What the VM knows beside Lua.
    pub(crate) fn core(self) -> &'s Core {
        // SAFETY: every thread of a VM of this crate carries its core.
        unsafe { Core::of(self.raw) }
    }

    /// Makes room for `slots` more values; false when the stack is at its maximum.
    #[must_use]
    pub(crate) fn reserve(self, slots: c_int) -> bool {
        // SAFETY: in host mode this neither raises nor is refused.
        unsafe { ffi::lua_checkstack(self.raw, slots.saturating_add(SLOTS)) != 0 }
    }

    pub(crate) fn top(self) -> c_int {
        // SAFETY: reads.
        unsafe { ffi::lua_gettop(self.raw) }
    }

    /// Sets the height of the stack: for a few slots, or fewer than now.
    pub(crate) fn set_top(self, top: c_int) {
        // SAFETY: growth stays in the slots that every function has.
        unsafe { ffi::lua_settop(self.raw, top.min(self.top() + SLOTS)) }
    }

    pub(crate) fn pop(self, count: c_int) {
        self.set_top(self.top() - count);
    }

    pub(crate) fn absolute(self, index: c_int) -> c_int {
        // SAFETY: arithmetic.
        unsafe { ffi::lua_absindex(self.raw, index) }
    }

    pub(crate) fn type_of(self, index: c_int) -> Type {
        // SAFETY: any acceptable index may be asked.
        match unsafe { ffi::lua_type(self.raw, index) } {
            ffi::LUA_TNIL => Type::Nil,
            ffi::LUA_TBOOLEAN => Type::Bool,
            ffi::LUA_TLIGHTUSERDATA => Type::Light,
            ffi::LUA_TNUMBER => Type::Number,
            ffi::LUA_TSTRING => Type::String,
            ffi::LUA_TTABLE => Type::Table,
            ffi::LUA_TFUNCTION => Type::Function,
            ffi::LUA_TUSERDATA => Type::Userdata,
            ffi::LUA_TTHREAD => Type::Thread,
            _ => Type::None,
        }
    }

    /// The type's name for messages.
    pub(crate) fn type_name(self, index: c_int) -> &'static str {
        match self.type_of(index) {
            Type::None => "no value",
            Type::Nil => "nil",
            Type::Bool => "boolean",
            Type::Light | Type::Userdata => "userdata",
            Type::Number => "number",
            Type::String if self.is_long(index) => "string that is too long",
            Type::String => "string",
            Type::Table => "table",
            Type::Function => "function",
            Type::Thread => "thread",
        }
    }

    pub(crate) fn is_absent(self, index: c_int) -> bool {
        matches!(self.type_of(index), Type::None | Type::Nil)
    }

    pub(crate) fn to_bool(self, index: c_int) -> bool {
        // SAFETY: any acceptable index may be asked.
        unsafe { ffi::lua_toboolean(self.raw, index) != 0 }
    }

    /// The integer of a number of the integer subtype.
    pub(crate) fn to_exact_integer(self, index: c_int) -> Option<i64> {
        // SAFETY: any acceptable index may be asked; an integer is not converted.
        unsafe {
            (ffi::lua_isinteger(self.raw, index) != 0)
                .then(|| ffi::lua_tointegerx(self.raw, index, std::ptr::null_mut()))
        }
    }

    /// The integer of a number without a fraction.
    pub(crate) fn to_integer(self, index: c_int) -> Option<i64> {
        if self.type_of(index) != Type::Number {
            return None;
        }
        let mut is_number = 0;
        // SAFETY: a number is converted without touching the slot.
        let number = unsafe { ffi::lua_tointegerx(self.raw, index, &raw mut is_number) };
        (is_number != 0).then_some(number)
    }

    pub(crate) fn to_number(self, index: c_int) -> Option<f64> {
        // SAFETY: a number is converted without touching the slot.
        (self.type_of(index) == Type::Number)
            .then(|| unsafe { ffi::lua_tonumberx(self.raw, index, std::ptr::null_mut()) })
    }

    /// The bytes of a string, for as long as it stays on the stack: callers copy them or
    /// use them before they pop.
    pub(crate) fn to_bytes(self, index: c_int) -> Option<&'s [u8]> {
        if self.type_of(index) != Type::String {
            return None;
        }
        let mut len = 0;
        // SAFETY: the value is a string, so nothing is converted; Lua's strings do not
        // move, and this one is on the stack.
        unsafe {
            let bytes = ffi::lua_tolstring(self.raw, index, &raw mut len);
            Some(slice::from_raw_parts(bytes.cast(), len))
        }
    }

    /// The text of a string that is UTF-8 and no longer than [`TEXT_BYTES_MAX`]: a name, an
    /// ID, a duration. As [`State::to_bytes`].
    pub(crate) fn to_str(self, index: c_int) -> Option<&'s str> {
        if self.is_long(index) { None } else { self.to_long_str(index) }
    }

    /// Whether a string is longer than [`TEXT_BYTES_MAX`].
    pub(crate) fn is_long(self, index: c_int) -> bool {
        self.type_of(index) == Type::String && self.raw_len(index) > TEXT_BYTES_MAX
    }

    /// The text of a string that is UTF-8, of any length: looking at it takes as long as that.
    pub(crate) fn to_long_str(self, index: c_int) -> Option<&'s str> {
        std::str::from_utf8(self.to_bytes(index)?).ok()
    }

    /// The address of a table, function, userdata or thread.
    pub(crate) fn to_pointer(self, index: c_int) -> *const c_void {
        // SAFETY: any acceptable index may be asked.
        unsafe { ffi::lua_topointer(self.raw, index) }
    }

    pub(crate) fn push_nil(self) {
        // SAFETY: callers keep to the slots a function has, or reserve.
        unsafe { ffi::lua_pushnil(self.raw) }
    }

    pub(crate) fn push_bool(self, value: bool) {
        // SAFETY: as `push_nil`.
        unsafe { ffi::lua_pushboolean(self.raw, value.into()) }
    }

    pub(crate) fn push_integer(self, value: i64) {
        // SAFETY: as `push_nil`.
        unsafe { ffi::lua_pushinteger(self.raw, value) }
    }

    pub(crate) fn push_number(self, value: f64) {
        // SAFETY: as `push_nil`.
        unsafe { ffi::lua_pushnumber(self.raw, value) }
    }

    pub(crate) fn push_bytes(self, bytes: &[u8]) {
        // SAFETY: as `push_nil`; Lua copies the bytes.
        unsafe {
            ffi::lua_pushlstring(self.raw, bytes.as_ptr().cast(), bytes.len());
        }
    }

    pub(crate) fn push_str(self, text: &str) {
        self.push_bytes(text.as_bytes());
    }

    /// Pushes a copy of the value at `index`.
    pub(crate) fn push_copy(self, index: c_int) {
        // SAFETY: as `push_nil`; the index is acceptable.
        unsafe { ffi::lua_pushvalue(self.raw, index) }
    }

    pub(crate) fn push_table(self, sequence: usize, fields: usize) {
        let bound = |count: usize| c_int::try_from(count).unwrap_or(c_int::MAX);
        // SAFETY: as `push_nil`.
        unsafe { ffi::lua_createtable(self.raw, bound(sequence), bound(fields)) }
    }

    pub(crate) fn push_function(self, function: ffi::lua_CFunction) {
        // SAFETY: as `push_nil`.
        unsafe { ffi::lua_pushcclosure(self.raw, function, 0) }
    }

    /// Pops the value on top into the slot at `index`.
    pub(crate) fn replace(self, index: c_int) {
        // SAFETY: the index is of a slot in use.
        unsafe {
            ffi::lua_copy(self.raw, -1, index);
            ffi::lua_settop(self.raw, -2);
        }
    }

    /// Moves the value on top to `index`, shifting others up.
    pub(crate) fn insert(self, index: c_int) {
        // SAFETY: the index is of a slot in use.
        unsafe { ffi::lua_rotate(self.raw, index, 1) }
    }

    /// Takes the value at `index` out, shifting others down.
    pub(crate) fn remove(self, index: c_int) {
        // SAFETY: the index is of a slot in use.
        unsafe { ffi::lua_rotate(self.raw, index, -1) }
        self.pop(1);
    }

    pub(crate) fn raw_len(self, index: c_int) -> usize {
        // SAFETY: any acceptable index may be asked.
        let len = unsafe { ffi::lua_rawlen(self.raw, index) };
        if len > 0 || !self.push_content(index) {
            return len;
        }
        // SAFETY: the content is on top.
        let len = unsafe { ffi::lua_rawlen(self.raw, -1) };
        self.pop(1);
        len
    }

    /// Pushes what a frozen table stands for; false, and nothing pushed, for anything else.
    fn push_content(self, index: c_int) -> bool {
        // SAFETY: callers keep to the slots a function has, or reserve.
        unsafe { frozen::push_content(self.raw, index) }
    }

    /// Places that a walk through a table looks at, whether something is in them or not.
    pub(crate) fn places(self, table: c_int) -> u64 {
        if self.push_content(table) {
            let places = self.places(-1);
            self.pop(1);
            return places;
        }
        /// The front of Lua's own table.
        #[repr(C)]
        struct Front {
            next: *const c_void,
            kind: u8,
            marked: u8,
            flags: u8,
            nodes_log2: u8,
            array: u32,
        }
        // With this flag the array has the next power of two of places.
        const ROUNDED: u8 = 1 << 7;
        let front = self.to_pointer(table).cast::<Front>();
        if !self.is_table(table) || front.is_null() {
            return 0;
        }
        // SAFETY: a table begins like this in the version of Lua that is built in, which a test
        // holds this against.
        let Front { flags, nodes_log2, array, .. } = unsafe { front.read() };
        let array = u64::from(array);
        let array = if flags & ROUNDED == 0 { array } else { array.next_power_of_two() };
        array.saturating_add(1_u64.checked_shl(nodes_log2.into()).unwrap_or(u64::MAX))
    }

    fn is_table(self, index: c_int) -> bool {
        self.type_of(index) == Type::Table
    }

    /// Pushes `table[name]`, raw; nil where there is no table.
    pub(crate) fn get_field(self, table: c_int, name: &str) -> Type {
        let table = self.absolute(table);
        if !self.is_table(table) {
            self.push_nil();
            return Type::Nil;
        }
        self.push_str(name);
        // SAFETY: it is a table, and the key is on top.
        let found = unsafe { ffi::lua_rawget(self.raw, table) };
        if found == ffi::LUA_TNIL && self.push_content(table) {
            self.replace(-2);
            self.get_field(-1, name);
            self.replace(-2);
        }
        self.type_of(-1)
    }

    /// Pushes `table[position]`, raw; nil where there is no table.
    pub(crate) fn get_position(self, table: c_int, position: i64) -> Type {
        let table = self.absolute(table);
        if self.is_table(table) {
            // SAFETY: it is a table.
            let found = unsafe { ffi::lua_rawgeti(self.raw, table, position) };
            if found == ffi::LUA_TNIL && self.push_content(table) {
                self.replace(-2);
                self.get_position(-1, position);
                self.replace(-2);
            }
        } else {
            self.push_nil();
        }
        self.type_of(-1)
    }

    /// Pops a value into `table[name]`, raw; drops it where there is no table.
    pub(crate) fn set_field(self, table: c_int, name: &str) {
        let table = self.absolute(table);
        if !self.is_table(table) {
            return self.pop(1);
        }
        self.push_str(name);
        self.insert(-2);
        // SAFETY: it is a table; key and value are on top, and the key is a string.
        unsafe { ffi::lua_rawset(self.raw, table) }
    }

    /// Pops a value into `table[position]`, raw; drops it where there is no table.
    pub(crate) fn set_position(self, table: c_int, position: i64) {
        if self.is_table(table) {
            // SAFETY: it is a table and the value is on top.
            unsafe { ffi::lua_rawseti(self.raw, table, position) }
        } else {
            self.pop(1);
        }
    }

    /// Pops a key and pushes the next key and value of a table that does not change
    /// meanwhile; false at its end.
    pub(crate) fn next(self, table: c_int) -> bool {
        if !self.is_table(table) {
            self.pop(1);
            return false;
        }
        if self.push_content(table) {
            self.insert(-2);
            // SAFETY: as below; the content stays under what comes.
            let found = unsafe { ffi::lua_next(self.raw, -2) != 0 };
            self.remove(if found { -3 } else { -1 });
            return found;
        }
        // SAFETY: it is a table, and the key came from it.
        unsafe { ffi::lua_next(self.raw, table) != 0 }
    }

    /// Pushes the registry's value of a key.
    pub(crate) fn get_registry(self, key: &'static Key) -> Type {
        // SAFETY: the registry is a table.
        unsafe { ffi::lua_rawgetp(self.raw, ffi::LUA_REGISTRYINDEX, key.pointer()) };
        self.type_of(-1)
    }

    /// Pushes the registry's value of a key, which `make` pushes the first time.
    pub(crate) fn get_or_make(self, key: &'static Key, make: fn(State<'_>)) {
        if self.get_registry(key) == Type::Nil {
            self.pop(1);
            make(self);
            self.push_copy(-1);
            self.set_registry(key);
        }
    }

    /// Pops a value into the registry.
    pub(crate) fn set_registry(self, key: &'static Key) {
        // SAFETY: the registry is a table and the value is on top.
        unsafe { ffi::lua_rawsetp(self.raw, ffi::LUA_REGISTRYINDEX, key.pointer()) }
    }

    /// Pushes the table of globals.
    pub(crate) fn push_globals(self) {
        // SAFETY: the registry is a table.
        unsafe {
            ffi::lua_rawgeti(self.raw, ffi::LUA_REGISTRYINDEX, ffi::LUA_RIDX_GLOBALS);
        }
    }

    /// Pushes the metatable of a value, if it has one.
    pub(crate) fn get_metatable(self, index: c_int) -> bool {
        // SAFETY: any acceptable index may be asked.
        unsafe { ffi::lua_getmetatable(self.raw, index) != 0 }
    }

    /// Pops a table and makes it the metatable of the table or userdata at `index`.
    pub(crate) fn set_metatable(self, index: c_int) {
        let is_table = self.is_table(-1);
        let takes = matches!(self.type_of(index), Type::Table | Type::Userdata);
        if is_table && takes {
            // SAFETY: both were looked at.
            unsafe {
                ffi::lua_setmetatable(self.raw, index);
            }
        } else {
            self.pop(1);
        }
    }

    /// Whether the value at `index` has the metatable that the registry keeps under `key`.
    pub(crate) fn has_metatable(self, index: c_int, key: &'static Key) -> bool {
        if !self.get_metatable(index) {
            return false;
        }
        self.get_registry(key);
        // SAFETY: both are on the stack.
        let same = unsafe { ffi::lua_rawequal(self.raw, -1, -2) != 0 };
        self.pop(2);
        same
    }

    /// Pushes a userdata with plain content and the metatable of `key`, which `make` pushes
    /// the first time.
    pub(crate) fn push_plain<T: Copy>(self, value: T, key: &'static Key, make: fn(State<'_>)) {
        const { assert!(align_of::<T>() <= 16, "userdata blocks are aligned to 16") };
        // SAFETY: the block is as large as the type and aligned for it.
        unsafe {
            ffi::lua_newuserdatauv(self.raw, size_of::<T>(), 0).cast::<T>().write(value);
        }
        self.get_or_make(key, make);
        self.set_metatable(-2);
    }

    /// The content of a userdata that [`State::push_plain`] made with the same type and key.
    pub(crate) fn to_plain<T: Copy>(self, index: c_int, key: &'static Key) -> Option<T> {
        if self.type_of(index) != Type::Userdata
            || self.raw_len(index) != size_of::<T>()
            || !self.has_metatable(index, key)
        {
            return None;
        }
        // SAFETY: the metatable is never handed to scripts, so only `push_plain` sets it.
        Some(unsafe { ffi::lua_touserdata(self.raw, index).cast::<T>().read() })
    }

    /// Pushes a userdata with plain content and no metatable, for a slot that scripts do
    /// not see.
    pub(crate) fn push_block<T: Copy>(self, value: T) {
        const { assert!(align_of::<T>() <= 16, "userdata blocks are aligned to 16") };
        // SAFETY: the block is as large as the type and aligned for it.
        unsafe {
            ffi::lua_newuserdatauv(self.raw, size_of::<T>(), 0).cast::<T>().write(value);
        }
    }

    /// The content of what [`State::push_block`] pushed with the same type.
    pub(crate) fn to_block<T: Copy>(self, index: c_int) -> Option<T> {
        if self.type_of(index) != Type::Userdata || self.raw_len(index) != size_of::<T>() {
            return None;
        }
        // SAFETY: scripts do not see the slot, so it holds what was pushed.
        Some(unsafe { ffi::lua_touserdata(self.raw, index).cast::<T>().read() })
    }

    /// Collects garbage; whether what is left is within the limit.
    pub(crate) fn collect_until_fits(self) -> bool {
        // SAFETY: scripts have no finalizers, so this runs none of their code.
        unsafe { ffi::lua_gc(self.raw, ffi::LUA_GCCOLLECT) };
        !self.core().heap.is_over()
    }

    /// Pops a value and a key into the table at `table`, raw. The key is a string.
    pub(crate) fn set_raw(self, table: c_int) {
        if self.is_table(table) && self.type_of(-2) == Type::String {
            // SAFETY: it is a table; key and value are on top.
            unsafe { ffi::lua_rawset(self.raw, table) }
        } else {
            self.pop(2);
        }
    }

    /// Pops a table and pushes a userdata around it, with the metatable of `key`, so that
    /// scripts can hold the table and not look into it.
    pub(crate) fn wrap_table(self, key: &'static Key) {
        // SAFETY: the userdata has one user value, which the table below it becomes.
        unsafe {
            ffi::lua_newuserdatauv(self.raw, 0, 1);
            self.insert(-2);
            ffi::lua_setiuservalue(self.raw, -2, 1);
        }
        self.get_registry(key);
        self.set_metatable(-2);
    }

    /// Pushes the table of a userdata that [`State::wrap_table`] made with the same key,
    /// and whether it is one; else nil.
    pub(crate) fn get_wrapped(self, index: c_int, key: &'static Key) -> bool {
        if self.type_of(index) != Type::Userdata || !self.has_metatable(index, key) {
            self.push_nil();
            return false;
        }
        // SAFETY: it is a userdata.
        unsafe { ffi::lua_getiuservalue(self.raw, index, 1) == ffi::LUA_TTABLE }
    }

    /// Sets functions in the table on top.
    pub(crate) fn set_functions(self, functions: &[(&str, ffi::lua_CFunction)]) {
        for (name, function) in functions {
            self.push_function(*function);
            self.set_field(-2, name);
        }
    }

    /// Loads a chunk, text or bytecode of our own making, and pushes its function; on
    /// failure pushes the message.
    pub(crate) fn load(self, chunk: &[u8], name: &CStr, binary: bool) -> bool {
        let mode = if binary { c"b" } else { c"t" };
        // SAFETY: loading is protected inside; the bytecode came from `dump`.
        unsafe {
            ffi::luaL_loadbufferx(
                self.raw,
                chunk.as_ptr().cast(),
                chunk.len(),
                name.as_ptr(),
                mode.as_ptr(),
            ) == ffi::LUA_OK
        }
    }

    /// Calls a function of this crate's own Lua code, which does not raise or wait: pops it
    /// and its arguments and pushes results, nil should it raise after all. It pays for its
    /// memory as a script does, so it fails where there is none left, or the process is dead.
    pub(crate) fn call_trusted(self, args: c_int, results: c_int) {
        let base = self.top() - args - 1;
        let core = self.core();
        let before = core.heap.host_mode(false);
        // SAFETY: the call is protected; function and arguments are on top.
        let status = unsafe { ffi::lua_pcallk(self.raw, args, results, 0, 0, None) };
        core.heap.host_mode(before);
        if status != ffi::LUA_OK {
            // No more than this: deep recursion brings a script here as often as it likes.
            tracing::debug!(entry = %core.program.id, "Lua code of the runtime failed");
            self.set_top(base);
            self.set_top(base + results);
        }
    }

    /// Whether this thread can wait.
    pub(crate) fn can_wait(self) -> bool {
        // SAFETY: the thread is live.
        unsafe { self.core().can_wait(self.raw) }
    }

    /// The bytecode of the Lua function on top, with its line numbers.
    pub(crate) fn dump(self) -> Vec<u8> {
        unsafe extern "C-unwind" fn write(
            _: *mut lua_State,
            piece: *const c_void,
            len: usize,
            to: *mut c_void,
        ) -> c_int {
            // SAFETY: `to` is the vector below, and Lua hands a piece of `len` bytes.
            unsafe {
                (*to.cast::<Vec<u8>>()).extend_from_slice(slice::from_raw_parts(piece.cast(), len));
            }
            0
        }
        let mut bytecode = Vec::new();
        // SAFETY: the writer only appends.
        unsafe {
            ffi::lua_dump(self.raw, write, (&raw mut bytecode).cast(), 0);
        }
        bytecode
    }

    /// The traceback of a thread, from `level` on.
    pub(crate) fn traceback(self, of: *mut lua_State, level: c_int) -> String {
        // SAFETY: `of` is a thread of the same VM; the text is popped after it was copied.
        unsafe { ffi::luaL_traceback(self.raw, of, std::ptr::null(), level) };
        let text = self.to_bytes(-1).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        self.pop(1);
        text.unwrap_or_default()
    }

    /// `file:line:` of the function at a level, or nothing.
    pub(crate) fn position(self, level: c_int) -> String {
        // SAFETY: pushes a string.
        unsafe { ffi::luaL_where(self.raw, level) };
        let text = self.to_bytes(-1).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        self.pop(1);
        text.unwrap_or_default()
    }
}
