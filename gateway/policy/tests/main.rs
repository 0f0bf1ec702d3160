//! The policy as a whole: lines, leases and paths at random and in virtual time.

mod dormancy;
mod draw;
mod gate;
mod given;
mod leases;
mod promises;
mod scope;
mod servers;
mod shield;
mod sim;
mod simulation;
