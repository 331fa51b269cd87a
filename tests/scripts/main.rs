//! The shell scripts that prepare a machine, run on machines that lie in a directory: with `sh`,
//! and with busybox where that is installed.

mod bind;
mod hugepages;
mod machine;
