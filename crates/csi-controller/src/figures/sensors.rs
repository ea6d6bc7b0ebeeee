//! `/system/health` by name: models differ in what they have, so only what is there is shown.

use routeros::HealthRow;

/// A figure of the hardware.
pub(super) struct Sensor {
    /// The series.
    pub(super) series: &'static str,
    /// For people.
    pub(super) help: &'static str,
    /// The names that models give it; the first that is there is taken.
    names: &'static [&'static str],
    /// RouterOS's unit; a value in another one, such as degrees Fahrenheit, is not this figure.
    unit: &'static str,
}

/// What is shown (R32), by the names seen on MikroTik devices with fans and power supplies.
pub(super) const SENSORS: [Sensor; 8] = [
    Sensor {
        series: "rds_hardware_cpu_temperature_celsius",
        help: "Temperature of the processor",
        names: &["cpu-temperature"],
        unit: "C",
    },
    Sensor {
        series: "rds_hardware_board_temperature_celsius",
        help: "Temperature of the board",
        names: &["board-temperature1", "board-temperature"],
        unit: "C",
    },
    Sensor {
        series: "rds_hardware_fan1_speed_rpm",
        help: "Speed of fan 1",
        names: &["fan1-speed"],
        unit: "RPM",
    },
    Sensor {
        series: "rds_hardware_fan2_speed_rpm",
        help: "Speed of fan 2",
        names: &["fan2-speed"],
        unit: "RPM",
    },
    Sensor {
        series: "rds_hardware_psu1_power_watts",
        help: "Power drawn by supply 1",
        names: &["psu1-power"],
        unit: "W",
    },
    Sensor {
        series: "rds_hardware_psu2_power_watts",
        help: "Power drawn by supply 2",
        names: &["psu2-power"],
        unit: "W",
    },
    Sensor {
        series: "rds_hardware_psu1_temperature_celsius",
        help: "Temperature of supply 1",
        names: &["psu1-temperature"],
        unit: "C",
    },
    Sensor {
        series: "rds_hardware_psu2_temperature_celsius",
        help: "Temperature of supply 2",
        names: &["psu2-temperature"],
        unit: "C",
    },
];

/// The values of [`SENSORS`], in their order; `None` for what the model does not have.
pub(super) type Values = [Option<f64>; SENSORS.len()];

/// Reads what the device lists.
pub(super) fn values(rows: &[HealthRow]) -> Values {
    std::array::from_fn(|at| SENSORS[at].of(rows))
}

impl Sensor {
    fn of(&self, rows: &[HealthRow]) -> Option<f64> {
        let row = self.names.iter().find_map(|name| rows.iter().find(|row| row.name == *name))?;
        let is_other_unit = row.unit.as_deref().is_some_and(|unit| unit != self.unit);
        row.value.parse().ok().filter(|value: &f64| value.is_finite() && !is_other_unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, value: &str, unit: &str) -> HealthRow {
        let unit = (!unit.is_empty()).then(|| unit.into());
        HealthRow { name: name.into(), value: value.into(), unit }
    }

    #[test]
    fn what_a_model_has_is_mapped_by_name_and_what_it_has_not_is_absent() {
        let rows = [
            row("cpu-temperature", "48", "C"),
            row("board-temperature", "36.5", ""),
            row("fan1-speed", "0", "RPM"),
            row("psu1-state", "ok", ""),
            row("switch-temperature", "50", "C"),
        ];
        let expected = [Some(48.0), Some(36.5), Some(0.0), None, None, None, None, None];
        assert_eq!(values(&rows), expected);
        assert_eq!(values(&[]), [None; 8]);
    }

    #[test]
    fn what_is_no_number_or_in_another_unit_is_absent() {
        for (value, unit) in [("118", "F"), ("ok", "C"), ("", "C"), ("NaN", "C"), ("inf", "C"), ("48C", "C")]
        {
            assert_eq!(values(&[row("cpu-temperature", value, unit)])[0], None, "{value:?} {unit:?}");
        }
    }
}
