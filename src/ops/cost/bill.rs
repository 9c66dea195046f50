//! Usage times prices.

use super::DAYS_PER_MONTH;
use super::prices::{Meter, Prices, Service};
use super::usage::{LineItem, Usage};

/// A line item and its dollars per month.
#[derive(Clone, Debug, PartialEq)]
pub struct Charge {
    pub item: LineItem,
    pub usd_per_month: f64,
}

/// The charges of a month.
#[derive(Clone, Debug, PartialEq)]
pub struct Bill {
    pub charges: Vec<Charge>,
    /// Terabytes per month.
    tb_per_month: f64,
    ingestion_usd_per_month: f64,
}

impl Bill {
    /// The bill for `usage`, of `tb_per_day` of logs.
    pub fn of(usage: &Usage, prices: &Prices, tb_per_day: f64) -> Self {
        let charge = |item: &LineItem| Charge {
            item: item.clone(),
            usd_per_month: item.quantity * prices.of(item.meter).usd,
        };
        let tb_per_month = tb_per_day * DAYS_PER_MONTH;
        let gb = tb_per_month * 1e12 / 1024.0_f64.powi(3);
        Self {
            charges: usage.items.iter().map(charge).collect(),
            tb_per_month,
            ingestion_usd_per_month: gb * prices.of(Meter::LogsIngested).usd,
        }
    }

    /// The charges of one service.
    pub fn of_service(&self, service: Service) -> impl Iterator<Item = &Charge> {
        self.charges.iter().filter(move |charge| charge.item.service == service)
    }

    /// Dollars per month, of one service.
    pub fn service(&self, service: Service) -> f64 {
        self.of_service(service).map(|charge| charge.usd_per_month).fold(0.0, std::ops::Add::add)
    }

    /// Dollars per month, of all services.
    pub fn total(&self) -> f64 {
        self.charges.iter().map(|charge| charge.usd_per_month).sum()
    }

    /// Dollars per month as dollars per terabyte.
    pub fn per_tb(&self, usd_per_month: f64) -> f64 {
        usd_per_month / self.tb_per_month
    }

    /// For comparison: dollars per month for ingesting the same logs into CloudWatch Logs, with or
    /// without Stentor.
    pub fn ingestion(&self) -> f64 {
        self.ingestion_usd_per_month
    }
}
