//! One VM: made, filled with its globals, and closed.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_int};
use std::ptr;
use std::sync::Arc;

use mlua::ffi::{self, lua_State};
use wippy_kernel::ProcessContext;
use wippy_model::{Error, Result, Value};

use crate::core::Core;
use crate::heap::Heap;
use crate::output::Output;
use crate::program::Program;
use crate::state::State;
use crate::{base, body, convert, typed};

/// A VM and its core. Drop closes the VM, which runs no code of the script: finalizers are
/// not available to scripts, and pending `<close>` variables of threads are let go.
pub(crate) struct Vm {
    main: *mut lua_State,
    core: Box<Core>,
}

// SAFETY: the VM is reached through its owner alone, so that one system thread at a time
// works on it; nothing in it is bound to a thread.
unsafe impl Send for Vm {}

impl Vm {
    /// A VM with everything a script of the program finds, and the main thread ready.
    ///
    /// # Errors
    ///
    /// `ResourceExhausted` when the system has no memory for it.
    pub(crate) fn new(
        program: Arc<Program>,
        context: ProcessContext,
        output: Output,
        args: &[Value],
    ) -> Result<Self> {
        let core = Box::new(Core::new(program, context, output));
        let heap = ptr::from_ref(&core.heap).cast_mut().cast();
        // SAFETY: the heap lives as long as the core, which outlives the VM.
        let main = unsafe { ffi::lua_newstate(Heap::allocate, heap) };
        if main.is_null() {
            return Err(Error::new(
                wippy_model::Kind::ResourceExhausted,
                format!("{}: no memory for a Lua VM", core.program.id),
            ));
        }
        let vm = Self { main, core };
        // SAFETY: the state is new.
        unsafe { vm.core.attach(main) };
        let state = vm.state();
        base::open(state);
        vm.start_main(state, args)?;
        Ok(vm)
    }

    /// The main thread of the VM, which runs no script itself. In host mode, which is how a
    /// core begins and how every resume leaves it.
    pub(crate) fn state(&self) -> State<'_> {
        // SAFETY: the VM lives as long as the borrow.
        unsafe { State::new(self.main) }
    }

    /// A thread of the VM.
    ///
    /// # Safety
    ///
    /// `thread` is a live thread of this VM.
    pub(crate) unsafe fn thread(&self, thread: *mut lua_State) -> State<'_> {
        // SAFETY: as the caller says.
        unsafe { State::new(thread) }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    fn start_main(&self, state: State<'_>, args: &[Value]) -> Result<()> {
        let program = &self.core.program;
        // SAFETY: the thread is anchored before anything else happens to the VM.
        let thread = unsafe {
            let thread = ffi::lua_newthread(self.main);
            anchor(state, thread);
            State::new(thread)
        };
        if !thread.reserve(c_int::try_from(args.len()).unwrap_or(c_int::MAX)) {
            return Err(Error::invalid(format!("{}: too many arguments", program.id)));
        }
        thread.push_function(body::run);
        if !thread.load(&program.main.bytecode, program.main.name(), true) {
            let message = crate::failure::text(thread, -1);
            return Err(Error::internal(format!("{}: {message}", program.id)));
        }
        if program.main.has_types {
            thread.push_globals();
            typed::wrap_environment(thread);
        }
        for arg in args {
            convert::push(thread, arg);
        }
        self.core.tasks.borrow_mut().add(thread.raw());
        Ok(())
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        // SAFETY: nobody else holds a thread of the VM; the core is dropped afterwards.
        unsafe { ffi::lua_close(self.main) }
    }
}

/// Pops a thread and keeps it alive until [`let_go`].
///
/// # Safety
///
/// `thread` is the thread on top.
pub(crate) unsafe fn anchor(state: State<'_>, thread: *mut lua_State) {
    // SAFETY: the registry is a table; keys of threads do not meet those of statics.
    unsafe { ffi::lua_rawsetp(state.raw(), ffi::LUA_REGISTRYINDEX, thread.cast()) }
}

/// Lets a thread go that was anchored.
///
/// # Safety
///
/// As [`anchor`]: `thread` was a thread of this VM.
pub(crate) unsafe fn let_go(state: State<'_>, thread: *mut lua_State) {
    state.push_nil();
    // SAFETY: as `anchor`.
    unsafe { ffi::lua_rawsetp(state.raw(), ffi::LUA_REGISTRYINDEX, thread.cast()) }
}

/// A VM without libraries, to compile with.
pub(crate) struct Compiler {
    main: *mut lua_State,
    _heap: Box<Heap>,
}

impl Compiler {
    pub(crate) fn new() -> Self {
        let heap = Box::new(Heap::new(usize::MAX));
        let account = ptr::from_ref(&*heap).cast_mut().cast();
        // SAFETY: the heap outlives the VM.
        let main = unsafe { ffi::lua_newstate(Heap::allocate, account) };
        Self { main, _heap: heap }
    }

    /// Compiles a text to bytecode.
    ///
    /// # Errors
    ///
    /// Lua's message.
    pub(crate) fn compile(&self, text: &[u8], name: &CStr) -> Result<Vec<u8>, String> {
        if self.main.is_null() {
            return Err("no memory".to_owned());
        }
        // SAFETY: the VM lives as long as `self`; its heap is in host mode. It has no core,
        // and none of the functions used here asks for it.
        let state = unsafe { State::new(self.main) };
        let compiled = if state.load(text, name, false) {
            Ok(state.dump())
        } else {
            Err(crate::failure::text(state, -1))
        };
        state.pop(1);
        compiled
    }
}

impl Drop for Compiler {
    fn drop(&mut self) {
        if !self.main.is_null() {
            // SAFETY: nobody else uses the VM.
            unsafe { ffi::lua_close(self.main) }
        }
    }
}
