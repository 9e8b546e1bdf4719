//! What is done to subsystems by hand while messages flow: restarts, pauses, clears.

use std::time::Duration;

use mycelia::error::ManageError;
use mycelia::prelude::*;
use mycelia_test::Rng;

/// Restarts, pauses or clears the subsystem of that name; one that is paused is resumed again.
pub(crate) async fn manage(system: &System, name: &str, rng: &Rng) {
    match rng.below(3) {
        0 => fits("restart", name, &system.restart(name).await),
        1 => {
            fits("pause", name, &system.pause(name).await);
            tokio::time::sleep(Duration::from_millis(rng.below(20).into())).await;
            if rng.chance(0.3) {
                fits("restart", name, &system.restart(name).await);
            }
            if rng.chance(0.3) {
                fits("clear", name, &system.clear(name).await);
            }
            fits("resume", name, &system.resume(name).await);
        }
        _ => fits("clear", name, &system.clear(name).await),
    }
}

fn fits<T>(verb: &str, name: &str, result: &Result<T, ManageError>) {
    let is_fine = match result {
        Ok(_) => true,
        // Its hooks fail now and then, or a child of it too often.
        Err(ManageError::Failed { .. }) => verb == "restart",
        Err(error) => matches!(
            error,
            ManageError::NoSubsystem { .. } | ManageError::Stopping { .. } | ManageError::Stopped
        ),
    };
    assert!(is_fine, "{verb} {name}: {:?}", result.as_ref().err());
}
