//! The routes that have or had alerts, for the sweep. A commit first registers the routes of its
//! alerts, in an item `#routes` / `<route>` of the outbox. A process remembers the routes that it
//! registered, so this is one write for each process and route.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::DynamoStore;
use super::item::{self, Item};
use crate::model::alert::Alert;
use crate::model::name::RouteName;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::StoreError;

/// A partition that no route has: route names contain no `#`.
const ROUTES: &str = "#routes";

/// Routes that are registered concurrently.
const ROUTES_AT_ONCE: usize = 8;

impl<C: Clock> DynamoStore<C> {
    /// Registers the routes of these alerts that this process has not registered yet. A registered
    /// route without alerts is harmless; the sweep would miss the alerts of one that is not.
    pub(super) async fn register_routes<'a>(
        &self,
        alerts: impl Iterator<Item = &'a Alert>,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let missing: BTreeSet<&RouteName> = {
            let known = self.registered_routes.lock().unwrap_or_else(PoisonError::into_inner);
            let routes = alerts.flat_map(|alert| &*alert.routes);
            routes.filter(|route| !known.contains(*route)).collect()
        };
        let entries: Vec<Item> =
            missing.iter().map(|route| item::key(ROUTES, route.as_str())).collect();
        let register = entries.into_iter().map(|entry| self.put(entry, deadline));
        stream::iter(register).buffer_unordered(ROUTES_AT_ONCE).try_collect::<()>().await?;
        let mut known = self.registered_routes.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(missing.into_iter().cloned());
        Ok(())
    }

    /// Every route that was registered, by any process.
    pub(super) async fn registered(
        &self,
        deadline: Deadline,
    ) -> Result<Vec<RouteName>, StoreError> {
        let items = self.query(ROUTES, "-", "~", deadline).await?;
        let name = |item: &Item| item.get("sk")?.as_s().ok()?.parse().ok();
        Ok(items.iter().filter_map(name).collect())
    }
}
