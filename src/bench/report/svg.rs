//! Line plots as SVG that takes its colours from the page's style, so that one
//! drawing serves light and dark.

use std::fmt::Write;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 52.0;
/// Width of a letter of a word at a mark, about.
const LETTER: f64 = 6.5;

/// How points are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draw {
    /// A line with a dot at each point.
    Dots,
    Line,
    /// A line with the space below it filled.
    Area,
}

#[derive(Debug, Clone)]
pub struct Series {
    pub name: String,
    pub draw: Draw,
    pub points: Vec<(f64, f64)>,
}

/// How the horizontal axis runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Scale {
    Linear,
    /// By powers of two, with these values written below.
    Doubling(Vec<f64>),
}

/// Series that the style has colours for; more would look alike.
pub const COLOURS: usize = 6;

/// A plot of one or more series over one axis.
#[derive(Debug, Clone)]
pub struct Plot {
    /// What it shows, for those who cannot see it.
    pub title: String,
    /// Both with their units.
    pub x: String,
    pub y: String,
    pub scale: Scale,
    pub series: Vec<Series>,
    /// Upright lines with a word at each.
    pub marks: Vec<(f64, String)>,
}

impl Plot {
    pub fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|s| &s.points);
        let xs = points().map(|p| self.place(p.0));
        let (least, most) =
            xs.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
        let least = if self.scale == Scale::Linear { least.min(0.0) } else { least };
        let (low, high) = match (least, most) {
            _ if !least.is_finite() => (0.0, 1.0),
            (least, most) if most > least => (least, most),
            (least, _) => (least - 1.0, least + 1.0),
        };
        let highest = points().map(|p| p.1);
        let steps = ticks(highest.fold(0.0, f64::max));
        let top = steps.last().copied().unwrap_or(1.0);
        let frame = Frame { low, high, top };

        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
            escape(&self.title)
        );
        for step in &steps {
            let y = frame.y(*step);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                y + 4.0,
                label(*step)
            );
        }
        let below = HEIGHT - BOTTOM;
        let written: Vec<f64> = match &self.scale {
            Scale::Linear => ticks(high).into_iter().filter(|t| *t <= high * 1.0001).collect(),
            Scale::Doubling(values) => values.clone(),
        };
        for value in written {
            let x = frame.x(self.place(value));
            let _ = writeln!(
                svg,
                "<line class=\"axis\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{below}\" y2=\"{}\"/>\
                 <text class=\"tick\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                below + 4.0,
                below + 18.0,
                label(value)
            );
        }
        let _ = writeln!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{below}\" y2=\"{below}\"/>\
             <text class=\"name\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text class=\"name\" transform=\"translate(14 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            WIDTH - RIGHT,
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 12.0,
            escape(&self.x),
            (TOP + below) / 2.0,
            escape(&self.y)
        );
        for (index, series) in self.series.iter().enumerate() {
            svg += &self.curve(series, index, &frame);
        }
        svg += &self.marks(&frame);
        svg + "</svg>"
    }

    /// The names of the series with their colours; empty where there is one.
    pub fn legend(&self) -> String {
        if self.series.len() < 2 {
            return String::new();
        }
        let items = self.series.iter().enumerate().map(|(index, series)| {
            format!("<span><i class=\"k{index}\"></i>{}</span>", escape(&series.name))
        });
        format!("<div class=\"legend\">{}</div>", items.collect::<String>())
    }

    fn place(&self, x: f64) -> f64 {
        match self.scale {
            Scale::Linear => x,
            Scale::Doubling(_) => x.max(f64::MIN_POSITIVE).log2(),
        }
    }

    fn curve(&self, series: &Series, index: usize, frame: &Frame) -> String {
        let places: Vec<(f64, f64)> =
            (series.points.iter()).map(|(x, y)| (frame.x(self.place(*x)), frame.y(*y))).collect();
        let (Some(first), Some(last)) = (places.first(), places.last()) else {
            return String::new();
        };
        let line: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let line = line.join(" L");
        let mut svg = String::new();
        if series.draw == Draw::Area {
            let floor = HEIGHT - BOTTOM;
            let _ = write!(
                svg,
                "<path class=\"fill s{index}\" d=\"M{:.1} {floor} L{line} L{:.1} {floor} Z\"/>",
                first.0, last.0
            );
        }
        let _ = write!(svg, "<path class=\"line s{index}\" d=\"M{line}\"/>");
        if series.draw == Draw::Dots {
            for ((x, y), (value, height)) in places.iter().zip(&series.points) {
                let _ = write!(
                    svg,
                    "<circle class=\"dot s{index}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\">\
                     <title>{}: {} at {}</title></circle>",
                    escape(&series.name),
                    label(*height),
                    label(*value)
                );
            }
        }
        svg + "\n"
    }

    /// Words stand one below the other where they would cover each other.
    fn marks(&self, frame: &Frame) -> String {
        let mut svg = String::new();
        let mut rows: Vec<f64> = Vec::new();
        for (value, word) in &self.marks {
            let x = frame.x(self.place(*value));
            let width = LETTER * word.chars().count() as f64 + 10.0;
            let turned = x + width > WIDTH - RIGHT;
            let (from, to) = if turned { (x - width, x) } else { (x, x + width) };
            let row = rows.iter().position(|taken| *taken <= from).unwrap_or(rows.len());
            rows.resize(rows.len().max(row + 1), 0.0);
            rows[row] = to;
            let (at, anchor) = if turned { (x - 4.0, "end") } else { (x + 4.0, "start") };
            let _ = writeln!(
                svg,
                "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{}\"/>\
                 <text class=\"word\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                HEIGHT - BOTTOM,
                TOP + 10.0 + 14.0 * row as f64,
                escape(word)
            );
        }
        svg
    }
}

/// Where values stand in the drawing.
struct Frame {
    low: f64,
    high: f64,
    top: f64,
}

impl Frame {
    fn x(&self, place: f64) -> f64 {
        LEFT + (place - self.low) / (self.high - self.low) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - value / self.top * (HEIGHT - BOTTOM - TOP)
    }
}

/// Round numbers from 0 to at least `high`, four to seven of them.
pub fn ticks(high: f64) -> Vec<f64> {
    if !high.is_finite() || high <= 0.0 {
        return vec![0.0, 1.0];
    }
    let rough = high / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|s| s * power);
    let step = step.into_iter().find(|s| *s >= rough * 0.9999).unwrap_or(rough);
    (0..=(high / step - 1e-9).ceil() as u32).map(|n| f64::from(n) * step).collect()
}

/// A value as it stands at an axis: 0.25, 40, 1.5k, 20k.
pub fn label(value: f64) -> String {
    let (value, unit) = match value.abs() {
        size if size >= 1e7 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = format!("{value:.3}");
    format!("{}{unit}", digits.trim_end_matches('0').trim_end_matches('.'))
}

/// Text as it may stand in HTML and SVG.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_the_highest() {
        for (high, expected) in [
            (5.0, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0][..]),
            (93.0, &[0.0, 20.0, 40.0, 60.0, 80.0, 100.0]),
            (0.0, &[0.0, 1.0]),
            (11.0, &[0.0, 2.5, 5.0, 7.5, 10.0, 12.5]),
        ] {
            assert_eq!(ticks(high), expected, "{high}");
        }
        for value in [1e-6, 0.37, 17.0, 4711.0, 1e9] {
            let found = ticks(value);
            assert!(found.last().unwrap() >= &value && (4..=8).contains(&found.len()), "{found:?}");
        }
    }

    #[test]
    fn labels_are_short() {
        for (value, expected) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (40.0, "40"),
            (1500.0, "1500"),
            (20_000.0, "20k"),
            (2.5e7, "25M"),
        ] {
            assert_eq!(label(value), expected);
        }
    }

    #[test]
    fn odd_data_draws_no_nonsense() {
        for points in [vec![], vec![(0.0, 0.0)], vec![(1.0, 5.0)], vec![(3.0, 1.0), (3.0, 2.0)]] {
            for scale in [Scale::Linear, Scale::Doubling(vec![1.0])] {
                let series =
                    vec![Series { name: "<a>".into(), draw: Draw::Dots, points: points.clone() }];
                let marks = vec![(1.0, "m".to_owned())];
                let plot = Plot {
                    title: "t\"".into(),
                    x: "x".into(),
                    y: "y".into(),
                    scale,
                    series,
                    marks,
                };
                let svg = plot.svg();
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{points:?}: {svg}");
                assert!(!svg.contains("<a>") && svg.ends_with("</svg>"));
            }
        }
    }
}
