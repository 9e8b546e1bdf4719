//! The promises, a module each: one program, which links once. What measures time or memory, or wants a process of
//! its own, stands beside this folder.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/family.rs"]
mod family;
#[path = "../common/store.rs"]
mod store;

mod actors;
mod admission;
mod any_bytes;
mod before_stop;
mod bounded;
mod dead_letters;
mod deadlines;
mod deadlines_cover_it_all;
mod edges_end;
mod effects;
mod ends_at_once;
mod errors;
mod expired;
mod fair_share;
mod foreign_wakers;
mod given_up;
mod groups;
mod handles;
mod hard_stops;
mod hooks;
mod isolation;
mod keepers;
mod kit;
mod large_messages;
mod last_hooks;
mod later;
mod later_replies;
mod layout;
mod managed;
mod mount;
mod mount_below;
mod nothing_lost;
mod on_demand;
mod order;
mod overflow;
mod ownership;
mod parsers;
mod paths;
mod points_of_user_code;
mod priority;
mod public_api;
mod replicas;
mod replies_under_way;
mod resize;
mod room_elsewhere;
mod simulation;
mod spawned_work;
mod stamps;
mod stop;
mod stuck;
mod supervision;
mod tasks;
mod tasks_end;
mod tasks_overflow;
mod thread_cycles;
mod topics;
mod topics_simulated;
mod two_values;
mod unmount;
mod user_code_circles;
mod user_code_in_hosts;
mod user_code_owns;
mod wait_cycles;
mod within;
