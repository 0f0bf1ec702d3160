//! A picture of lines, areas, bands and dots as SVG.
//!
//! Every mark has a [`Role`], not a colour: the role becomes a class in the SVG, and the page's style says what it looks
//! like in light, in dark and on paper. What is drawn has no size of its own: the page gives it a view box.
//!
//! Out of scope: the content of the pictures. That is [`super::charts`]'s.

mod axis;

use plotters::coord::Shift;
use plotters::prelude::*;

pub(super) use axis::{Axis, Scale};

/// Why there is no page: always a fault of this program.
#[derive(Debug, thiserror::Error)]
pub enum NotDrawn {
    /// A picture.
    #[error("a picture cannot be drawn: {0}")]
    Chart(String),
    /// The page itself.
    #[error("the page cannot be written: {0:#}")]
    Page(#[from] minijinja::Error),
}

/// Units per pixel: marks lie on whole units, and a line must not show that.
const FINE: u32 = 4;

/// Height of letters, in pixels. The crate draws letters smaller by this factor than it is told.
const LETTERS: f64 = 12.5 * 1.24;

/// The meaning of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Ink,
    Grid,
    Arrived,
    Waiting,
    Admitted,
    AtShop,
    Limit,
    Range,
    Had,
    Even,
    Joined,
    Entered,
    Inside,
    InsideMedian,
    Outside,
    OutsideMedian,
}

impl Role {
    const ALL: [Self; 16] = [
        Self::Ink,
        Self::Grid,
        Self::Arrived,
        Self::Waiting,
        Self::Admitted,
        Self::AtShop,
        Self::Limit,
        Self::Range,
        Self::Had,
        Self::Even,
        Self::Joined,
        Self::Entered,
        Self::Inside,
        Self::InsideMedian,
        Self::Outside,
        Self::OutsideMedian,
    ];

    /// Its class in the page's style.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Ink => "ink",
            Self::Grid => "grid",
            Self::Arrived => "arrived",
            Self::Waiting => "waiting",
            Self::Admitted => "admitted",
            Self::AtShop => "at-shop",
            Self::Limit => "limit",
            Self::Range => "range",
            Self::Had => "had",
            Self::Even => "even",
            Self::Joined => "joined",
            Self::Entered => "entered",
            Self::Inside => "inside",
            Self::InsideMedian => "inside-median",
            Self::Outside => "outside",
            Self::OutsideMedian => "outside-median",
        }
    }

    /// A colour that stands for it until [`classes`] puts the class in its place.
    fn colour(self) -> RGBColor {
        RGBColor(0, 0, 1 + self as u8)
    }
}

/// How a mark is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// From point to point; a point without a value (NaN) is a gap.
    Line,
    /// The area below a line.
    Area,
    /// The area inside an outline.
    Band,
    /// A dot for each point, with this radius in pixels.
    Dots(f64),
}

/// Something in a picture.
#[derive(Debug, Clone)]
pub(super) struct Marker {
    pub(super) role: Role,
    pub(super) shape: Shape,
    pub(super) points: Vec<(f64, f64)>,
}

/// Axes and what is drawn on them, first things below.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) marks: Vec<Marker>,
}

type Canvas<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;
type Drawn<T> = Result<T, DrawingAreaErrorKind<std::io::Error>>;

/// The picture, `width` by `height` pixels large: what stands inside an `svg` element whose view box is [`view_box`].
pub(super) fn draw(picture: &Picture, width: u32, height: u32) -> Result<String, NotDrawn> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (width * FINE, height * FINE)).into_drawing_area();
        paint(picture, &root).map_err(|error| NotDrawn::Chart(error.to_string()))?;
    }
    let inner = svg.split_once('>').and_then(|(_, rest)| rest.rsplit_once("</svg>"));
    Ok(classes(inner.map_or("", |(inner, _)| inner)))
}

/// The view box of a picture of this size.
pub(super) fn view_box(width: u32, height: u32) -> String {
    format!("0 0 {} {}", width * FINE, height * FINE)
}

fn paint(picture: &Picture, root: &DrawingArea<SVGBackend, Shift>) -> Drawn<()> {
    let mut canvas = ChartBuilder::on(root)
        .margin_top(10 * FINE)
        .margin_right(14 * FINE)
        .x_label_area_size(26 * FINE)
        .y_label_area_size(56 * FINE)
        .build_cartesian_2d(picture.x.clone(), picture.y.clone())?;
    mesh(&mut canvas)?;
    for mark in &picture.marks {
        draw_mark(mark, picture.y.from, &mut canvas)?;
    }
    root.present()
}

fn mesh(canvas: &mut Canvas) -> Drawn<()> {
    let (width, height) = canvas.plotting_area().dim_in_pixel();
    let labels = |pixels: u32, each: u32| (pixels / FINE / each).max(2) as usize;
    let letters = ("sans-serif", LETTERS * f64::from(FINE)).into_font().color(&Role::Ink.colour());
    canvas
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(Role::Grid.colour().stroke_width(FINE))
        .axis_style(TRANSPARENT)
        .set_all_tick_mark_size(4 * FINE)
        .label_style(letters)
        .x_labels(labels(width, 52))
        .y_labels(labels(height, 40))
        .draw()
}

fn draw_mark(mark: &Marker, ground: f64, canvas: &mut Canvas) -> Drawn<()> {
    let colour = mark.role.colour();
    for points in mark.points.split(|point| point.1.is_nan()).filter(|points| !points.is_empty()) {
        let points = points.to_vec();
        match mark.shape {
            Shape::Line => {
                canvas.draw_series([PathElement::new(points, colour.stroke_width(2 * FINE))])?;
            }
            Shape::Area => {
                let (first, last) = (points[0].0, points[points.len() - 1].0);
                let outline = [vec![(first, ground)], points, vec![(last, ground)]].concat();
                canvas.draw_series([Polygon::new(outline, colour.mix(0.16).filled())])?;
            }
            Shape::Band => {
                canvas.draw_series([Polygon::new(points, colour.mix(0.24).filled())])?;
            }
            Shape::Dots(radius) => {
                let dot = |point| Circle::new(point, radius * f64::from(FINE), colour.filled());
                canvas.draw_series(points.into_iter().map(dot))?;
            }
        }
    }
    Ok(())
}

/// Puts the classes of roles where the colours that stand for them are.
fn classes(svg: &str) -> String {
    let mut svg = svg.replace(" opacity=\"1\"", "").replace(" font-family=\"sans-serif\"", "");
    for role in Role::ALL {
        let RGBColor(r, g, b) = role.colour();
        for kind in ["fill", "stroke"] {
            let class = format!(" class=\"{kind} {}\"", role.class());
            svg = svg.replace(&format!(" {kind}=\"#{r:02X}{g:02X}{b:02X}\""), &class);
        }
    }
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_classes_and_no_colours_of_its_own() {
        let points = vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0), (3.0, 2.0)];
        let mark = |role, shape| Marker { role, shape, points: points.clone() };
        let picture = Picture {
            x: Axis::from_zero(Scale::Time, 4.0),
            y: Axis::from_zero(Scale::Count, 3.0),
            marks: vec![
                mark(Role::Waiting, Shape::Area),
                mark(Role::Limit, Shape::Line),
                mark(Role::Range, Shape::Band),
                mark(Role::Entered, Shape::Dots(2.0)),
            ],
        };
        let svg = draw(&picture, 400, 200).unwrap();
        for class in ["fill ink", "stroke grid", "fill waiting", "stroke limit", "fill range", "fill entered"] {
            assert!(svg.contains(class), "{class} in {svg}");
        }
        assert!(!svg.contains("=\"#") && !svg.contains("<svg"), "{svg}");
    }
}
