//! The accounts, Regions, log groups and log streams of a route or an app.

use super::glob::Glob;

/// Where log events come from. A list admits a log event that matches one of its patterns; an empty
/// list admits all. All lists have to admit it. Default: everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// `log_groups`, such as `/aws/app/billing*`.
    pub log_groups: Vec<Glob>,
    /// `log_streams`, such as `web/*`.
    pub log_streams: Vec<Glob>,
    /// `accounts`: the twelve digits of the account that owns the log group.
    pub accounts: Vec<Glob>,
    /// `regions`, such as `eu-*`.
    pub regions: Vec<Glob>,
}

impl Scope {
    /// Whether a log event from there is in the scope. An unknown Region is in a scope for all
    /// Regions only.
    pub fn admits(
        &self,
        account: &str,
        region: Option<&str>,
        log_group: &str,
        log_stream: &str,
    ) -> bool {
        let region_admitted = match region {
            Some(region) => admits(&self.regions, region),
            None => admits_all(&self.regions),
        };
        region_admitted
            && admits(&self.accounts, account)
            && admits(&self.log_groups, log_group)
            && admits(&self.log_streams, log_stream)
    }

    /// Whether the scope admits every log event.
    pub fn is_everything(&self) -> bool {
        let lists = [&self.log_groups, &self.log_streams, &self.accounts, &self.regions];
        lists.into_iter().all(|list| admits_all(list))
    }

    /// Whether this scope admits everything that `other` admits. Never true by mistake.
    pub(super) fn covers(&self, other: &Scope) -> bool {
        covers(&self.log_groups, &other.log_groups)
            && covers(&self.log_streams, &other.log_streams)
            && covers(&self.accounts, &other.accounts)
            && covers(&self.regions, &other.regions)
    }
}

pub(super) fn admits(globs: &[Glob], text: &str) -> bool {
    globs.is_empty() || globs.iter().any(|glob| glob.matches(text))
}

fn admits_all(globs: &[Glob]) -> bool {
    globs.is_empty() || globs.iter().any(Glob::is_any)
}

pub(super) fn covers(wide: &[Glob], narrow: &[Glob]) -> bool {
    let each_is_covered =
        || narrow.iter().all(|inner| wide.iter().any(|outer| outer.covers(inner)));
    admits_all(wide) || (!narrow.is_empty() && each_is_covered())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(log_groups: &[&str], accounts: &[&str], regions: &[&str]) -> Scope {
        let globs = |patterns: &[&str]| patterns.iter().map(|p| p.parse().unwrap()).collect();
        let [log_groups, accounts, regions] = [log_groups, accounts, regions].map(globs);
        Scope { log_groups, accounts, regions, ..Scope::default() }
    }

    #[test]
    fn a_scope_admits_events_that_match_each_of_its_lists() {
        let check = |scope: &Scope, region, log_group: &str, admitted: bool| {
            let found = scope.admits("111122223333", region, log_group, "web/1");
            assert_eq!(found, admitted, "{log_group}");
        };
        let everywhere = Scope::default();
        check(&everywhere, Some("eu-west-1"), "/aws/app", true);
        check(&everywhere, None, "/aws/app", true);
        let narrow = scope(&["/aws/app/*", "/ecs/*"], &["1111*"], &["eu-*"]);
        check(&narrow, Some("eu-west-1"), "/aws/app/billing", true);
        check(&narrow, Some("eu-west-1"), "/ecs/billing", true);
        check(&narrow, Some("eu-west-1"), "/aws/billing", false);
        check(&narrow, Some("us-east-1"), "/aws/app/billing", false);
        check(&narrow, None, "/aws/app/billing", false);
        check(&scope(&[], &["2222*"], &[]), None, "/aws/app", false);
        check(&scope(&[], &[], &["*"]), None, "/aws/app", true);
        let streams =
            |glob: &str| Scope { log_streams: vec![glob.parse().unwrap()], ..narrow.clone() };
        check(&streams("web/*"), Some("eu-west-1"), "/ecs/billing", true);
        check(&streams("api/*"), Some("eu-west-1"), "/ecs/billing", false);
    }

    #[test]
    fn a_scope_is_everything_when_each_list_is_empty_or_has_a_star() {
        assert!(Scope::default().is_everything());
        assert!(scope(&["/aws/*", "*"], &["**"], &[]).is_everything());
        assert!(!scope(&["/aws/*"], &[], &[]).is_everything());
        assert!(!scope(&[], &["1*"], &[]).is_everything());
        assert!(!scope(&[], &[], &["eu-*"]).is_everything());
    }

    #[test]
    fn a_wider_scope_covers_a_narrower_one() {
        let everywhere = Scope::default();
        let europe = scope(&[], &[], &["eu-*"]);
        let billing = scope(&["/aws/app/billing*", "/ecs/billing"], &[], &["eu-west-1"]);
        assert!(everywhere.covers(&europe) && everywhere.covers(&billing));
        assert!(europe.covers(&billing) && europe.covers(&europe));
        assert!(!europe.covers(&everywhere) && !billing.covers(&europe));
        assert!(scope(&["*"], &[], &[]).covers(&everywhere));
        assert!(!scope(&["/aws/*"], &[], &[]).covers(&billing));
        assert!(scope(&["/aws/*", "/ecs/*"], &[], &[]).covers(&billing));
    }
}
