//! `/system/{identity,resource,package,clock,health}`.

use super::clock::{Timestamp, span};
use super::plan::{Change, Plan, Step};
use super::row::{self, Property, View, text, truth};
use super::{Device, RosePackage};
use crate::assumptions::HealthSensors;
use crate::menu::{Command, Menu, Reply, Trap, Value, Verb};

/// Bytes of an RDS2216's memory (S, product page).
const MEMORY: u64 = 34_359_738_368;

static IDENTITY: &[Property<Device>] = &[Property::new("name", |d, _| text(&d.identity))];

static RESOURCE: &[Property<Device>] = &[
    Property::new("architecture-name", |_, _| text("arm64")),
    Property::new("board-name", |_, _| text("RDS2216-2XG-4S+4XS-2XQ")),
    Property::new("cpu", |_, _| text("ARM64")),
    Property::new("cpu-count", |_, _| text("16")),
    Property::new("cpu-load", |_, _| text("3")),
    Property::new("free-memory", |_, _| Some(Value::Owned((MEMORY / 2).to_string()))),
    Property::new("platform", |_, _| text("MikroTik")),
    Property::new("total-memory", |_, _| Some(Value::Owned(MEMORY.to_string()))),
    Property::new("uptime", |_, v| Some(Value::Owned(span(v.facts.uptime())))),
    Property::new("version", |d, _| Some(Value::Owned(format!("{} (stable)", d.version)))),
];

static CLOCK: &[Property<Device>] = &[
    Property::new("date", |_, v| Some(Value::Owned(Timestamp(v.facts.now()).day()))),
    Property::new("dst-active", |_, _| truth(false)),
    Property::new("gmt-offset", |_, _| text("+00:00")),
    Property::new("time", |_, v| Some(Value::Owned(Timestamp(v.facts.now()).time()))),
    Property::new("time-zone-autodetect", |_, _| truth(false)),
    Property::new("time-zone-name", |_, _| text("UTC")),
];

/// A package row.
struct Package {
    id: u32,
    name: &'static str,
    disabled: bool,
}

static PACKAGE: &[Property<Package>] = &[
    Property::new(".id", |p, _| Some(Value::Owned(format!("*{:X}", p.id)))),
    Property::new("available", |_, _| truth(false)),
    Property::new("disabled", |p, _| truth(p.disabled)),
    Property::new("name", |p, _| text(p.name)),
    Property::new("scheduled", |_, _| text("")),
    Property::new("version", |_, v| Some(Value::Owned(v.device.version.to_string()))),
];

fn packages(device: &Device) -> Vec<Package> {
    let rose = Package { id: 2, name: "rose-storage", disabled: device.rose == RosePackage::Disabled };
    let mut packages = vec![Package { id: 1, name: "routeros", disabled: false }];
    packages.extend((device.rose != RosePackage::Missing).then_some(rose));
    packages
}

/// A sensor; names vary by model, these are of the kinds that the MIB lists for a rack device (K).
struct Sensor {
    id: u32,
    name: &'static str,
    unit: &'static str,
    value: &'static str,
}

static HEALTH: &[Property<Sensor>] = &[
    Property::new(".id", |s, _| Some(Value::Owned(format!("*{:X}", s.id)))),
    Property::new("name", |s, _| text(s.name)),
    Property::new("type", |s, _| text(s.unit)),
    Property::new("value", |s, _| text(s.value)),
];

static RACK: &[Sensor] = &[
    Sensor { id: 0xD, name: "cpu-temperature", unit: "C", value: "48" },
    Sensor { id: 0xE, name: "board-temperature1", unit: "C", value: "36" },
    Sensor { id: 0x1B59, name: "fan1-speed", unit: "RPM", value: "4290" },
    Sensor { id: 0x1B5A, name: "fan2-speed", unit: "RPM", value: "4320" },
    Sensor { id: 0x1D4D, name: "psu1-temperature", unit: "C", value: "33" },
    Sensor { id: 0x1D4E, name: "psu2-temperature", unit: "C", value: "34" },
    Sensor { id: 0x1DB1, name: "psu1-power", unit: "W", value: "71.5" },
    Sensor { id: 0x1DB2, name: "psu2-power", unit: "W", value: "69" },
];

static SMALL: &[Sensor] = &[
    Sensor { id: 0xD, name: "cpu-temperature", unit: "C", value: "51" },
    Sensor { id: 0x1B59, name: "fan1-speed", unit: "RPM", value: "0" },
    Sensor { id: 0x1CE9, name: "psu1-state", unit: "", value: "ok" },
    Sensor { id: 0x1CEA, name: "psu2-state", unit: "", value: "fail" },
];

fn sensors(which: HealthSensors) -> &'static [Sensor] {
    match which {
        HealthSensors::Rack => RACK,
        HealthSensors::Small => SMALL,
        HealthSensors::None => &[],
    }
}

/// Prints a system menu.
pub(super) fn print(command: &Command, view: &View<'_>) -> Reply {
    let device = std::iter::once(view.device);
    match command.menu {
        Menu::Identity => row::print(device, IDENTITY, command, view),
        Menu::Resource => row::print(device, RESOURCE, command, view),
        Menu::Clock => row::print(device, CLOCK, command, view),
        Menu::Package => row::print(packages(view.device).iter(), PACKAGE, command, view),
        _ => row::print(sensors(view.assumptions.health_sensors).iter(), HEALTH, command, view),
    }
}

/// Plans a command on a system menu: only the identity can be set here.
pub(super) fn plan(command: &Command) -> Result<Plan, Trap> {
    let (Menu::Identity, Verb::Set) = (command.menu, &command.verb) else {
        return Err(Trap::NoSuchCommand);
    };
    match command.arguments.as_slice() {
        [(name, value)] if name == "name" => {
            Ok(Plan::done(vec![Step::Record(Change::Identity(value.clone()))], Reply::Done))
        }
        [] => Ok(Plan::answer(Reply::Done)),
        [(name, _), ..] => Err(Trap::unknown_parameter(name)),
    }
}
