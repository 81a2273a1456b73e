//! Bars, as SVG.

use std::path::Path;

const WIDTH: f64 = 420.0;
const LEFT: f64 = 330.0;
const ROW: f64 = 26.0;

/// Writes one chart; a thin line marks 1.0.
pub(crate) fn write(file: &Path, title: &str, bars: &[(&str, f64)]) {
    let most = bars.iter().map(|(_, value)| *value).filter(|value| value.is_finite()).fold(1.0, f64::max);
    let scale = WIDTH / most;
    let (width, height) = (LEFT + WIDTH + 70.0, ROW * (bars.len() as f64 + 2.0));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <text x=\"8\" y=\"18\" font-weight=\"bold\">{title}</text>\n"
    );
    for (index, (name, value)) in bars.iter().enumerate() {
        let top = ROW * (index as f64 + 1.0) + 6.0;
        let colour = if name.starts_with("cloakroom") { "#2a6f97" } else { "#b0b0b0" };
        let (length, base, end) = (value * scale, top + 14.0, LEFT + value * scale + 6.0);
        svg.push_str(&format!(
            "<text x=\"8\" y=\"{base:.0}\">{name}</text>\
             <rect x=\"{LEFT:.0}\" y=\"{top:.0}\" width=\"{length:.1}\" height=\"18\" fill=\"{colour}\"/>\
             <text x=\"{end:.0}\" y=\"{base:.0}\">{value:.2}</text>\n"
        ));
    }
    let one = LEFT + scale;
    svg.push_str(&format!(
        "<line x1=\"{one:.1}\" y1=\"{ROW:.0}\" x2=\"{one:.1}\" y2=\"{:.0}\" stroke=\"#333\" stroke-dasharray=\"3 3\"/>\n</svg>\n",
        height - ROW / 2.0
    ));
    std::fs::write(file, svg).unwrap();
}
