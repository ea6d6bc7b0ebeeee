//! The figures: a table for people, `target/bench/results.json` for machines.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// One figure and what it should be.
#[derive(Debug)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    /// The most that meets the goal; `None` where there is no goal.
    goal: Option<f64>,
}

/// Figures of one run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
}

impl Report {
    /// Adds a figure that is only told.
    pub(crate) fn tell(&mut self, name: &str, value: f64, unit: &'static str) {
        self.add(Figure { name: name.to_owned(), value, unit, goal: None });
    }

    /// Adds a figure that should be at most `goal`.
    pub(crate) fn at_most(&mut self, name: &str, value: f64, unit: &'static str, goal: f64) {
        self.add(Figure { name: name.to_owned(), value, unit, goal: Some(goal) });
    }

    fn add(&mut self, figure: Figure) {
        println!("{}", figure.row());
        self.figures.push(figure);
    }

    /// Writes the file.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let list: Vec<Value> = self.figures.iter().map(Figure::json).collect();
        std::fs::create_dir_all(path.parent().context("a folder for the results")?)?;
        std::fs::write(path, serde_json::to_vec_pretty(&list)?)
            .with_context(|| format!("write {}", path.display()))
    }

    /// The figures whose goal was not met.
    pub(crate) fn missed(&self) -> usize {
        self.figures.iter().filter(|figure| figure.met() == Some(false)).count()
    }
}

impl Figure {
    fn met(&self) -> Option<bool> {
        self.goal.map(|goal| self.value <= goal)
    }

    fn row(&self) -> String {
        let goal = self.goal.map_or_else(String::new, |goal| format!("at most {goal} {}", self.unit));
        let met = match self.met() {
            None => "",
            Some(true) => "met",
            Some(false) => "MISSED",
        };
        format!("{:<64} {:>10.3} {:<9} {goal:<24} {met}", self.name, self.value, self.unit)
    }

    fn json(&self) -> Value {
        json!({"name": self.name, "value": self.value, "unit": self.unit, "goal": self.goal, "met": self.met()})
    }
}

/// The median in seconds.
pub(crate) fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times.get(times.len() / 2).map_or(f64::NAN, Duration::as_secs_f64)
}

/// The median of a/b, pair by pair: what drifts in the machine's speed drifts in both.
pub(crate) fn median_ratio(pairs: &[(Duration, Duration)]) -> f64 {
    let mut ratios: Vec<f64> = pairs.iter().map(|(a, b)| a.as_secs_f64() / b.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
}
