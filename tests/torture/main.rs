//! What Quorate promises of data, while processes are killed, power is cut and disks are full: real processes, real
//! TLS, real file systems, and an oracle that recomputes what each node collected.
//!
//! A run of the tests takes a short form; with the variable `QUORATE_TORTURE` set, as `make torture` does, the whole.
//! Each test ends with a line `P1 ok kills=100 missing=0 duplicate=0`, or fails. P1: nothing is lost silently. P2:
//! nothing is there twice. P13: a broken disk costs what it broke, and no more. P14: clocks may jump, and nothing is
//! lost or there twice.
//!
//! The rows of the bad inputs that concern data, and who tries them; `torture` is this program.
//!
//! | row | input | test |
//! |---|---|---|
//! | 38 | NaN, infinities, -0, subnormal | torture `rows`; a stale marker is a NaN of its own bits and kept as that |
//! | 39 | counter goes down | aggregator `query::promql::range::rate::tests::a_reset_loses_nothing` |
//! | 41 | times far off: stamps are the aggregator's, by the agent's boot clock | aggregator `receive::session::tests::frames_become_newest_values_and_history_on_our_time_line` |
//! | 42 | the same again, with the same or another value | torture `rows`; common `ledger`; aggregator `agents::delivery::tests::counts_a_frame_once` |
//! | 43 | gap, repeat, a number from nowhere | torture `rows`; aggregator `receive::session::tests::frames_that_never_came_are_declared`, `says_what_comes_out_of_turn_or_too_often` |
//! | 44 | names and labels that cannot be | common `model::label::tests::refuses_by_name`; proto `convert::register::tests::names_the_field_that_is_wrong` |
//! | 45 | labels that only the aggregator sets | aggregator `query::selector::tests::labels_that_clash_are_kept_under_another_name` |
//! | 46 | texts that mean something elsewhere | torture `rows`; client `table`, `output`; agent `once::tests::labels_are_escaped` |
//! | 48 | host names | torture `rows` |
//! | 73 | disk full, no inode, while running and at a start | torture `full`; the store's `tests::torture::a_full_disk_costs_nothing_once_there_is_room` |
//! | 73 | EIO, EROFS | torture `cut`: the old disk goes on failing after the cut; the store's `tests::torture::a_call_of_the_disk_that_fails_costs_nothing_whichever_it_is` |
//! | 73 | a disk that hangs | torture `hang` |
//! | 73 | EMFILE | faults `descriptors` |
//! | 73 | directory removed while running | torture `gone` |
//! | 73 | two aggregators on one directory | e2e `restart::a_state_directory_has_one_process` |
//! | 74 | truncated, a bit turned | the store's `tests::torture::a_file_that_ends_anywhere_costs_what_lay_behind_and_no_more`, `a_bit_that_turned_costs_its_stretch_and_no_more` |
//! | 74 | zeroed, swapped, wrong magic, empty | the store's `tests::torture::a_file_of_nonsense_is_told_and_never_deleted` |
//! | 75 | the same of a journal | agent `spool::log::tests` |
//! | 76 | clocks that jump | sim; agent `encode::tests::clocks_are_whole_and_do_not_flicker`, `skew` |
//! | 77 | who stands still | torture `stop`; e2e `liveness` |
//!
//! Row 40 has no answer yet: a value has no quality. Row 47 is tried by aggregator `receive::session`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says by panicking what is wrong")]

mod cut;
mod fleet;
mod full;
mod gone;
mod hang;
mod kill;
mod rows;
mod stop;
mod verdict;
mod volume;
