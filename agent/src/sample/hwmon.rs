//! Sensors: temperatures, fans, voltages, currents and power below `/sys/class/hwmon`.
//!
//! Chips and sensors are named as node_exporter names them. A sensor behind a slow bus takes its time, so this
//! collector may block. One that cannot be read has no value; the others have.

use super::error::SampleError;
use super::labelled::Labelled;
use super::reader::{attribute, names};
use super::{Sampler, Sink};
use quorate_common::catalog::{self, HWMON_CHIP_NAMES, HWMON_SENSOR_LABEL, MetricDef};
use quorate_common::model::label::Labels;
use quorate_common::model::series::SeriesClass;
use quorate_common::model::time::Now;
use std::path::{Path, PathBuf};

/// More chips than any machine has.
const CHIPS_MAX: usize = 256;
/// More files than any chip has.
const FILES_MAX: usize = 2048;
/// Kinds of sensors, and the unit at the end of their metrics.
const KINDS: [(&str, &str); 9] = [
    ("temp", "celsius"),
    ("fan", "rpm"),
    ("in", "volts"),
    ("curr", "amps"),
    ("power", "watt"),
    ("energy", "joule_total"),
    ("humidity", ""),
    ("pwm", ""),
    ("intrusion", ""),
];

/// Reads all chips.
pub(super) struct Hwmon {
    directory: PathBuf,
    interval_ms: u32,
    said: Labelled,
}

impl Hwmon {
    /// Reads below `root`, every `interval_ms`.
    pub fn new(root: &Path, interval_ms: u32) -> Hwmon {
        Hwmon { directory: root.join("sys/class/hwmon"), interval_ms, said: Labelled::default() }
    }

    fn chip(&mut self, directory: &Path, out: &mut Sink) -> Result<(), SampleError> {
        let chip = chip_name(directory);
        if let Some(name) = attribute(&directory.join("name")) {
            let labels = Labels::new([("chip", &*chip), ("chip_name", &*clean(&name))])?;
            self.said.set((&HWMON_CHIP_NAMES, &labels), 1, out)?;
        }
        // Old drivers keep the files of their sensors with the device.
        for directory in [directory.to_owned(), directory.join("device")] {
            for file in names(&directory, FILES_MAX)? {
                let Some(file) = file.to_str() else { continue };
                if let Some(sensor) = Sensor::of_file(file) {
                    self.sensor(&sensor, (&chip, &directory.join(file)), out)?;
                }
            }
        }
        Ok(())
    }

    fn sensor(
        &mut self,
        sensor: &Sensor<'_>,
        (chip, file): (&str, &Path),
        out: &mut Sink,
    ) -> Result<(), SampleError> {
        let name = format!("{}{}", sensor.kind, sensor.number);
        if sensor.element == "label" {
            let Some(text) = attribute(file) else { return Ok(()) };
            let labels = Labels::new([("chip", chip), ("sensor", &*name), ("label", &*text)])?;
            return self.said.set((&HWMON_SENSOR_LABEL, &labels), 1, out);
        }
        let Some(def) = sensor.metric() else { return Ok(()) };
        if let Some(number) = attribute(file).and_then(|text| text.parse::<i64>().ok()) {
            let labels = Labels::new([("chip", chip), ("sensor", &*name)])?;
            // The catalog counts in the steps that the kernel counts in.
            self.said.set((def, &labels), number, out)?;
        }
        Ok(())
    }
}

/// What the name of a file says: `temp1_crit_alarm`.
#[derive(Debug, PartialEq)]
struct Sensor<'a> {
    kind: &'static str,
    unit: &'static str,
    number: &'a str,
    element: &'a str,
}

impl<'a> Sensor<'a> {
    fn of_file(name: &'a str) -> Option<Sensor<'a>> {
        let (stem, element) = name.split_once('_').unwrap_or((name, ""));
        let (kind, unit) = KINDS.into_iter().find(|(kind, _)| {
            stem.strip_prefix(kind)
                .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
        })?;
        Some(Sensor { kind, unit, number: &stem[kind.len()..], element })
    }

    /// Its metric, if the catalog has it: drivers invent files of their own.
    fn metric(&self) -> Option<&'static MetricDef> {
        let mut name = format!("node_hwmon_{}", self.kind);
        // `input` is the measurement itself.
        if !matches!(self.element, "" | "input") {
            name = format!("{name}_{}", self.element);
        }
        let unit = match (self.kind, self.element) {
            (_, "alarm" | "fault" | "beep") | ("temp", "type") => "",
            ("power", "average_interval") => "seconds",
            ("fan", element) if !matches!(element, "input" | "min" | "max" | "target") => "",
            _ => self.unit,
        };
        catalog::find(&if unit.is_empty() { name } else { format!("{name}_{unit}") })
    }
}

/// By bus and device if there is one, because that is the same after each boot; else what it calls itself.
fn chip_name(directory: &Path) -> String {
    let by_device = || {
        let device = std::fs::canonicalize(directory.join("device")).ok()?;
        let name = clean(&device.file_name()?.to_string_lossy());
        let bus = clean(&device.parent()?.file_name()?.to_string_lossy());
        let both = if bus.is_empty() { name.clone() } else { format!("{bus}_{name}") };
        (!name.is_empty()).then_some(both)
    };
    let by_name =
        || attribute(&directory.join("name")).map(|name| clean(&name)).filter(|name| !name.is_empty());
    let by_number = || clean(&directory.file_name().unwrap_or_default().to_string_lossy());
    by_device().or_else(by_name).unwrap_or_else(by_number)
}

/// Small letters, digits, `:` and `_`; anything else becomes `_`, but not at the ends.
fn clean(text: &str) -> String {
    let plain = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | ':' | '_') => c,
        _ => '_',
    };
    text.chars().map(plain).collect::<String>().trim_matches('_').to_owned()
}

impl Sampler for Hwmon {
    fn name(&self) -> &'static str {
        "hwmon"
    }

    fn interval_ms(&self) -> u32 {
        self.interval_ms
    }

    fn class(&self) -> SeriesClass {
        SeriesClass::System
    }

    fn may_block(&self) -> bool {
        true
    }

    fn sample(&mut self, _now: Now, out: &mut Sink) -> Result<(), SampleError> {
        for chip in names(&self.directory, CHIPS_MAX)? {
            self.chip(&self.directory.join(chip), out)?;
        }
        self.said.finish(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::{Board, Tree, sample};
    use super::*;

    #[test]
    fn files_name_metrics() {
        for (file, expect) in [
            ("temp1_input", "node_hwmon_temp_celsius"),
            ("temp12_crit_alarm", "node_hwmon_temp_crit_alarm_celsius"),
            ("temp1_alarm", "node_hwmon_temp_alarm"),
            ("temp1_type", "node_hwmon_temp_type"),
            ("fan2_input", "node_hwmon_fan_rpm"),
            ("fan2_div", "node_hwmon_fan_div"),
            ("in0_min", "node_hwmon_in_min_volts"),
            ("in0_alarm", "node_hwmon_in_alarm"),
            ("curr1_input", "node_hwmon_curr_amps"),
            ("power1_average", "node_hwmon_power_average_watt"),
            ("power1_average_interval", "node_hwmon_power_average_interval_seconds"),
            ("energy1_input", "node_hwmon_energy_joule_total"),
            ("humidity1_input", "node_hwmon_humidity"),
            ("pwm1", "node_hwmon_pwm"),
            ("pwm1_enable", "node_hwmon_pwm_enable"),
            ("intrusion0_alarm", "node_hwmon_intrusion_alarm"),
            ("temp1_invented", ""),
            ("temp_input", ""),
            ("tempx_input", ""),
            ("name", ""),
            ("uevent", ""),
        ] {
            let found = Sensor::of_file(file).and_then(|sensor| sensor.metric()).map_or("", |def| def.name);
            assert_eq!(found, expect, "{file}");
        }
    }

    #[test]
    fn chips_are_named_by_device_then_name_then_number() {
        let (tree, mut board) = (Tree::empty(), Board::default());
        let mut hwmon = Hwmon::new(tree.root(), 10_000);
        assert_eq!(sample(&mut hwmon, &mut board).unwrap(), "");
        tree.write("sys/class/hwmon/hwmon0/device/coretemp.0/x", "");
        tree.write("sys/class/hwmon/hwmon1/name", "Aqua Computer!\n");
        tree.write("sys/class/hwmon/hwmon1/temp1_input", "-5500\n");
        tree.write("sys/class/hwmon/hwmon1/temp1_label", "Wasser é\n");
        tree.write("sys/class/hwmon/hwmon2/fan1_input", "1200\n");
        tree.write("sys/class/hwmon/hwmon2/fan2_input", "garbage\n");
        let said = sample(&mut hwmon, &mut board).unwrap();
        let expect = "node_hwmon_chip_names{chip=\"aqua_computer\",chip_name=\"aqua_computer\"} 1\n\
            node_hwmon_fan_rpm{chip=\"hwmon2\",sensor=\"fan1\"} 1200\n\
            node_hwmon_sensor_label{chip=\"aqua_computer\",label=\"Wasser é\",sensor=\"temp1\"} 1\n\
            node_hwmon_temp_celsius{chip=\"aqua_computer\",sensor=\"temp1\"} -5.5\n";
        assert_eq!(said, expect);
        assert_eq!(chip_name(&tree.root().join("sys/class/hwmon/hwmon0")), "hwmon0_device");
        tree.write("sys/class/hwmon/hwmon2/fan2_input", "900\n");
        assert!(sample(&mut hwmon, &mut board).unwrap().contains("sensor=\"fan2\"} 900\n"));
    }
}
