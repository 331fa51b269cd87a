//! Counts the instructions that a function executes, on the processor itself: with the trap flag
//! set, every instruction ends in a SIGTRAP, and its handler counts. Exact as callgrind is, but it
//! runs whatever the processor does, which valgrind does not (3.19 has no AVX-512). A step takes
//! about 10 us in a virtual machine, so that a cell of the table is counted in a second.
//!
//! An instruction with a REP prefix traps after every round; it counts once here, as in the
//! processor's own counters, and once a round in callgrind.

use std::arch::{asm, global_asm};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::io;
use std::sync::OnceLock;

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
    /// Where the last step ended.
    static LAST: Cell<u64> = const { Cell::new(0) };
    /// Where steps ended, if somebody wants to know: as many as there is room for.
    static TRACE: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// One instruction is over; the next one is at the context's RIP.
extern "C" fn on_step(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    let context: *const libc::ucontext_t = context.cast();
    // SAFETY: the kernel passes the context of what it interrupted.
    let rip = unsafe { (*context).uc_mcontext.gregs[libc::REG_RIP as usize] } as u64;
    // The same place again: another round of a repeated string instruction.
    if LAST.replace(rip) == rip {
        return;
    }
    STEPS.set(STEPS.get() + 1);
    TRACE.with(|t| {
        // Only borrowed elsewhere while nothing is stepped.
        if let Ok(mut trace) = t.try_borrow_mut()
            && trace.len() < trace.capacity()
        {
            trace.push(rip);
        }
    });
}

fn handle_traps() -> io::Result<()> {
    // SAFETY: zeroes are a valid sigaction: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_step as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: the handler has the signature that SA_SIGINFO wants, and neither allocates nor
    // locks.
    match unsafe { libc::sigaction(libc::SIGTRAP, &action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What is stepped beside the function: the call, and the three instructions that end it all.
const AROUND: u64 = 4;

/// Runs `f(arg)` step by step. Returns what it returned, and how many instructions it took, its
/// last `ret` among them.
fn stepped<T>(f: extern "C" fn(&mut T) -> usize, arg: &mut T) -> (usize, u64) {
    STEPS.set(0);
    LAST.set(0);
    // The first use allocates.
    TRACE.with(|_| ());
    let result: usize;
    // SAFETY: sets and clears the trap flag (bit 8 of RFLAGS) around a call of a function of the
    // C ABI with its one argument. The stack is aligned at the call, for pushes and pops are
    // balanced. All that the call may clobber is said to be.
    unsafe {
        asm!(
            "pushfq",
            "or qword ptr [rsp], 0x100",
            "popfq",
            "call {f}",
            "pushfq",
            "and qword ptr [rsp], -0x101",
            "popfq",
            f = in(reg) f,
            inout("rdi") std::ptr::from_mut(arg) => _,
            lateout("rax") result,
            clobber_abi("C"),
        );
    }
    (result, STEPS.get().saturating_sub(AROUND))
}

// 4 instructions, 10 rounds of 2, and the `ret`.
global_asm!(
    "barewire_bench_known:",
    "mov ecx, 64",
    "lea rsi, [rdi]",
    "rep movsb",
    "mov eax, 10",
    "2: dec eax",
    "jnz 2b",
    "ret",
);
const KNOWN: u64 = 4 + 20 + 1;

unsafe extern "C" {
    // Copies the bytes onto themselves.
    safe fn barewire_bench_known(at: &mut [u8; 64]) -> usize;
}

/// Counts instructions on this processor. There is one only where counting was seen to work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stepper(());

impl Stepper {
    /// Installs the handler and counts a function whose length is known.
    ///
    /// # Errors
    /// Why it cannot count here.
    pub(crate) fn new() -> Result<Self, String> {
        static CHECKED: OnceLock<Result<(), String>> = OnceLock::new();
        let check = || {
            handle_traps().map_err(|e| format!("SIGTRAP cannot be handled: {e}"))?;
            let (_, counted) = stepped(barewire_bench_known, &mut [0; 64]);
            if counted != KNOWN {
                return Err(format!(
                    "single steps cannot be counted here: {counted} for {KNOWN} instructions"
                ));
            }
            Ok(())
        };
        CHECKED.get_or_init(check).clone().map(|()| Self(()))
    }

    /// What `f(arg)` returns, and how many instructions it takes.
    pub(crate) fn count<T>(self, f: extern "C" fn(&mut T) -> usize, arg: &mut T) -> (usize, u64) {
        stepped(f, arg)
    }

    /// How often each instruction of `f(arg)` is executed, by address, for the first `most`.
    pub(crate) fn trace<T>(
        self,
        f: extern "C" fn(&mut T) -> usize,
        arg: &mut T,
        most: usize,
        into: &mut HashMap<u64, u64>,
    ) -> usize {
        TRACE.set(Vec::with_capacity(most));
        let (result, n) = stepped(f, arg);
        // Steps end where the next instruction is: the first at the function, the last `AROUND`
        // not in it.
        for at in TRACE.take().into_iter().take(n as usize) {
            *into.entry(at).or_default() += 1;
        }
        result
    }
}
