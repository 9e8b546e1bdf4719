//! Filters: which workloads, which contenders.

use anyhow::bail;

use crate::workload::Workload;

/// Keeps what the filters name. A filter is the name of a workload, or a part of it, or the exact name
/// of a contender; several of one kind add up, the two kinds restrict each other. A quick selection
/// leaves out what takes long and is not named.
///
/// # Errors
/// A filter that names neither, or nothing that is left.
pub fn select(
    all: Vec<Workload>,
    filters: &[String],
    is_quick: bool,
) -> anyhow::Result<Vec<Workload>> {
    let (mut wanted, mut who) = (Vec::new(), Vec::new());
    for filter in filters {
        let filter = filter.as_str();
        let entries = all.iter().flat_map(|workload| &workload.entries);
        let is_contender = entries.map(|e| e.contender).any(|name| name == filter);
        let is_workload = all.iter().any(|workload| workload.name.contains(filter));
        if is_contender {
            who.push(filter);
        } else if is_workload {
            wanted.push(filter);
        } else {
            let names: Vec<&str> = all.iter().map(|workload| workload.name).collect();
            bail!(
                "no workload or contender is called `{filter}`; workloads: {}; contenders: {}",
                names.join(" "),
                contenders(&all).join(" ")
            );
        }
    }
    // A filter that is a workload's whole name means that one alone: `tell-1` is not `tell-100`.
    let is_exact = |part: &str| all.iter().any(|workload| workload.name == part);
    let (exact, parts): (Vec<&str>, Vec<&str>) = wanted.into_iter().partition(|p| is_exact(p));
    let mut selected = all;
    selected.retain(|workload| {
        let is_named =
            exact.contains(&workload.name) || parts.iter().any(|part| workload.name.contains(part));
        is_named || (exact.is_empty() && parts.is_empty() && !(is_quick && workload.is_long))
    });
    for workload in &mut selected {
        let keep = |name: &str| who.is_empty() || who.contains(&name);
        workload.entries.retain(|entry| keep(entry.contender));
    }
    selected.retain(|workload| !workload.entries.is_empty());
    if selected.is_empty() {
        bail!("the filters leave nothing to run: {}", filters.join(" "));
    }
    Ok(selected)
}

/// The names of all contenders, in the order of their first workload.
pub(super) fn contenders(workloads: &[Workload]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for entry in workloads.iter().flat_map(|workload| &workload.entries) {
        if !names.contains(&entry.contender) {
            names.push(entry.contender);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads::all;

    fn names(filters: &[&str]) -> anyhow::Result<Vec<(&'static str, usize)>> {
        let filters: Vec<String> = filters.iter().map(|&filter| filter.into()).collect();
        let selected = select(all(), &filters, false)?;
        Ok(selected.iter().map(|w| (w.name, w.entries.len())).collect())
    }

    #[test]
    fn filters_of_both_kinds_restrict_each_other() {
        assert_eq!(
            names(&["tell-2", "actix", "mycelia"]).unwrap(),
            [("tell-2", 2)]
        );
        assert_eq!(names(&["tell"]).unwrap().len(), 2);
        assert_eq!(names(&["senders-1"]).unwrap().len(), 1);
    }

    #[test]
    fn a_bad_filter_is_refused_in_one_line() {
        let error = names(&["nonsense"]).unwrap_err().to_string();
        assert!(error.contains("`nonsense`") && !error.contains('\n'));
        assert!(names(&["routes-1", "kameo"]).is_err());
    }
}
