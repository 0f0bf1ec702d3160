//! The languages of the page: one file of [`Texts`] each, and an arm here.

mod ar;
mod de;
mod en;
mod es;
mod fr;
mod id;
mod ja;
mod ko;
mod pt_br;
mod th;
mod vi;
mod zh_cn;
mod zh_tw;

use std::sync::LazyLock;

use icu_locale_core::LanguageIdentifier;
use icu_plurals::{PluralCategory, PluralRules};
use policy::outlook::{Standstill, Wait};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::push_number;
use super::question::Question;

/// A language that the page is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Language {
    /// English.
    #[serde(rename = "en-US")]
    English,
    /// Korean.
    #[serde(rename = "ko-KR")]
    Korean,
    /// Japanese.
    #[serde(rename = "ja-JP")]
    Japanese,
    /// Chinese, simplified.
    #[serde(rename = "zh-CN")]
    ChineseSimplified,
    /// Chinese, traditional.
    #[serde(rename = "zh-TW")]
    ChineseTraditional,
    /// Spanish.
    #[serde(rename = "es-ES")]
    Spanish,
    /// Vietnamese.
    #[serde(rename = "vi-VN")]
    Vietnamese,
    /// Thai.
    #[serde(rename = "th-TH")]
    Thai,
    /// Indonesian.
    #[serde(rename = "id-ID")]
    Indonesian,
    /// German.
    #[serde(rename = "de-DE")]
    German,
    /// French.
    #[serde(rename = "fr-FR")]
    French,
    /// Portuguese, as in Brazil.
    #[serde(rename = "pt-BR")]
    Portuguese,
    /// Arabic.
    #[serde(rename = "ar-EG")]
    Arabic,
}

/// Every text that a shopper can see. Plain text; it is escaped where it is put into HTML.
#[derive(Debug, Serialize)]
pub(super) struct Texts {
    /// Sign between groups of three digits.
    pub(super) thousands: &'static str,
    /// `{a}` to `{b}`; less than `{b}`; about `{b}`. `{b}` is a number with its unit.
    pub(super) span: [&'static str; 3],
    /// The categories of Unicode's plural rules that whole numbers have in this language, and for each of them `{n}` of a unit.
    pub(super) plurals: &'static [&'static str],
    pub(super) seconds: &'static [&'static str],
    pub(super) minutes: &'static [&'static str],
    pub(super) hours: &'static [&'static str],
    pub(super) unknown: &'static str,

    pub(super) title: &'static str,
    pub(super) lead: &'static str,
    pub(super) place: &'static str,
    pub(super) place_unit: &'static str,
    pub(super) progress: &'static str,
    pub(super) wait: &'static str,
    pub(super) next: &'static str,
    pub(super) steps: [&'static str; 3],
    pub(super) ticket: &'static str,
    pub(super) updated: &'static str,
    /// Before and after the time of a place.
    pub(super) as_of: [&'static str; 2],
    /// Why places stand still, in the order of `Standstill::ALL`; no character that HTML would escape.
    pub(super) standstill: [&'static str; Standstill::ALL.len()],
    pub(super) leave: &'static str,
    pub(super) leave_warning: &'static str,
    pub(super) leave_confirm: &'static str,
    pub(super) arriving: &'static str,
    pub(super) arriving_lead: &'static str,
    pub(super) arriving_note: &'static str,
    pub(super) called: &'static str,
    pub(super) called_lead: &'static str,
    pub(super) kept_note: &'static str,
    pub(super) paused_note: &'static str,
    pub(super) before: &'static str,
    pub(super) drawing_lead: &'static str,
    pub(super) before_lead: &'static str,
    pub(super) starts_in: &'static str,
    pub(super) over: &'static str,
    pub(super) over_lead: &'static str,
    pub(super) over_note: &'static str,
    pub(super) resting_note: &'static str,
    pub(super) last_items_note: &'static str,
    pub(super) sold_out: &'static str,
    pub(super) sold_out_note: &'static str,
    /// No character that HTML would escape.
    pub(super) may_end_note: &'static str,
    pub(super) ended_note: &'static str,
    /// For a page that holds a form.
    pub(super) held_title: &'static str,
    pub(super) held_lead: &'static str,
    /// The kept part of it; and instructions, with a script and without.
    pub(super) form_kept: &'static str,
    pub(super) form_kept_how: [&'static str; 2],
    pub(super) form_part: &'static str,
    pub(super) form_part_how: [&'static str; 2],
    pub(super) form_lost: &'static str,
    pub(super) form_lost_how: [&'static str; 2],
    pub(super) form_turn: &'static str,
    pub(super) form_send: &'static str,
    /// For who is inside and waits at the gate of orders or payments.
    pub(super) gate_title: &'static str,
    pub(super) gate_lead: &'static str,
    pub(super) gate_ahead: &'static str,
    pub(super) gate_unit: &'static str,
    pub(super) gate_how: &'static str,
    pub(super) gate_order: &'static str,
    pub(super) gate_away: &'static str,
    /// In a bar on a page of the shop: the time inside ends soon; the same, and it cannot be extended; it has ended.
    pub(super) pass_ending: &'static str,
    pub(super) pass_last: &'static str,
    pub(super) pass_ended: &'static str,
    pub(super) pass_stay: &'static str,
    pub(super) pass_close: &'static str,
    pub(super) check: &'static str,
    /// The name of the page of answers, and the way back from it.
    pub(super) answers: &'static str,
    pub(super) answers_back: &'static str,
    /// Before and after the time until which a turn is kept.
    pub(super) turn_until: [&'static str; 2],
    pub(super) entering: &'static str,
    /// A switch, and what a page says that will call its shopper.
    pub(super) notify: &'static str,
    pub(super) notify_on: &'static str,
    /// With `{n}`, a number.
    pub(super) moved: &'static str,
    /// In the order of `Question::ALL`.
    pub(super) questions: [&'static str; Question::ALL.len()],
    pub(super) answer_place: &'static str,
    pub(super) answer_tab: &'static str,
    pub(super) answer_moving: &'static str,
    pub(super) answer_left: &'static str,
    pub(super) answer_untold: &'static str,

    pub(super) last_call: Heading,
    pub(super) suspended: Heading,
    pub(super) not_open: Heading,
    pub(super) event_over: Heading,
    pub(super) place_offered: Heading,
    pub(super) place_take: &'static str,
    pub(super) no_place: Heading,
    pub(super) full: Heading,
    pub(super) too_many: Heading,
    pub(super) left: Heading,
    pub(super) busy: Heading,
    pub(super) failed: Heading,
    pub(super) ended: Heading,
    pub(super) in_doubt: Heading,
    pub(super) refreshes: &'static str,
    pub(super) try_again: &'static str,
    pub(super) go_back: &'static str,
    pub(super) error: &'static str,
    pub(super) request: &'static str,
}

/// The text of a page other than the waiting page.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Heading {
    pub(super) title: &'static str,
    pub(super) lead: &'static str,
}

/// The plural rules of a language.
struct Plurals {
    rules: Option<PluralRules>,
    /// The index in [`Texts::plurals`] of each number below this: a wait is seldom longer, and a rule takes its time.
    small: [u8; 256],
}

/// By language.
static PLURALS: LazyLock<Vec<Plurals>> = LazyLock::new(|| Language::ALL.into_iter().map(Plurals::of).collect());

impl Plurals {
    fn of(language: Language) -> Self {
        let id: Option<LanguageIdentifier> = language.tag().parse().ok();
        let rules = id.and_then(|id| PluralRules::try_new_cardinal(id.into()).ok());
        let mut plurals = Self { rules, small: [0; 256] };
        plurals.small = std::array::from_fn(|number| plurals.compute(language, number as u64) as u8);
        plurals
    }

    /// The index of a number's form; that of the last form, which fits any number, where the language has no other.
    fn compute(&self, language: Language, number: u64) -> usize {
        let forms = language.texts().plurals;
        let wanted = self.rules.as_ref().map_or("other", |rules| category(rules, number));
        forms.iter().position(|&form| form == wanted).unwrap_or(forms.len() - 1)
    }

    fn index(&self, language: Language, number: u64) -> usize {
        let small = usize::try_from(number).ok().and_then(|number| self.small.get(number));
        small.map_or_else(|| self.compute(language, number), |&index| index.into())
    }
}

/// The name of a number's category, as a browser's `Intl.PluralRules` gives it.
fn category(rules: &PluralRules, number: u64) -> &'static str {
    match rules.category_for(number) {
        PluralCategory::Zero => "zero",
        PluralCategory::One => "one",
        PluralCategory::Two => "two",
        PluralCategory::Few => "few",
        PluralCategory::Many => "many",
        PluralCategory::Other => "other",
    }
}

impl Language {
    /// Every language; `ALL[language as usize]` is the language.
    pub const ALL: [Self; 13] = [
        Self::English,
        Self::Korean,
        Self::Japanese,
        Self::ChineseSimplified,
        Self::ChineseTraditional,
        Self::Spanish,
        Self::Vietnamese,
        Self::Thai,
        Self::Indonesian,
        Self::German,
        Self::French,
        Self::Portuguese,
        Self::Arabic,
    ];

    /// Its tag, as in `<html lang>` and `Content-Language`: of a region only where that changes the texts.
    pub fn tag(self) -> &'static str {
        match self {
            Self::ChineseSimplified | Self::ChineseTraditional | Self::Portuguese => self.name(),
            _ => self.primary(),
        }
    }

    /// The first subtag of its tag. Two letters, in every one of these languages.
    fn primary(self) -> &'static str {
        self.name().get(..2).unwrap_or_default()
    }

    /// Its name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::English => "en-US",
            Self::Korean => "ko-KR",
            Self::Japanese => "ja-JP",
            Self::ChineseSimplified => "zh-CN",
            Self::ChineseTraditional => "zh-TW",
            Self::Spanish => "es-ES",
            Self::Vietnamese => "vi-VN",
            Self::Thai => "th-TH",
            Self::Indonesian => "id-ID",
            Self::German => "de-DE",
            Self::French => "fr-FR",
            Self::Portuguese => "pt-BR",
            Self::Arabic => "ar-EG",
        }
    }

    /// How its lines run, as in `<html dir>`.
    pub(super) fn direction(self) -> &'static str {
        if self == Self::Arabic { "rtl" } else { "ltr" }
    }

    /// The language of a tag such as `ko` or `en-US`. Chinese of Taiwan, Hong Kong and Macao is traditional.
    pub fn from_tag(tag: &str) -> Option<Self> {
        let mut subtags = tag.trim().split('-');
        let primary = subtags.next()?;
        let is_traditional = |subtag: &str| ["hant", "tw", "hk", "mo"].iter().any(|it| it.eq_ignore_ascii_case(subtag));
        if primary.eq_ignore_ascii_case("zh") && subtags.any(is_traditional) {
            return Some(Self::ChineseTraditional);
        }
        Self::ALL.into_iter().find(|language| language.primary().eq_ignore_ascii_case(primary))
    }

    /// The language that an `Accept-Language` header prefers among ours. If there is none: the one that was `set`, else English
    /// for a shopper who names other languages, and Korean for one who names none.
    pub fn pick(accept: &str, set: Option<Self>) -> Self {
        Self::pick_among(&Self::ALL, accept, set)
    }

    /// The same among some of ours.
    pub(crate) fn pick_among(known: &[Self], accept: &str, set: Option<Self>) -> Self {
        let names_any = accept.contains(|c: char| c.is_ascii_alphabetic());
        let mut best = (0.0, set.unwrap_or(if names_any { Self::English } else { Self::Korean }));
        for range in accept.split(',').take(16) {
            let mut parts = range.split(';');
            let language = parts.next().and_then(Self::from_tag).filter(|language| known.contains(language));
            let quality = parts.find_map(|part| part.trim().strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            if let Some(language) = language.filter(|_| quality > best.0) {
                best = (quality, language);
            }
        }
        best.1
    }

    pub(super) fn texts(self) -> &'static Texts {
        match self {
            Self::English => &en::TEXTS,
            Self::Korean => &ko::TEXTS,
            Self::Japanese => &ja::TEXTS,
            Self::ChineseSimplified => &zh_cn::TEXTS,
            Self::ChineseTraditional => &zh_tw::TEXTS,
            Self::Spanish => &es::TEXTS,
            Self::Vietnamese => &vi::TEXTS,
            Self::Thai => &th::TEXTS,
            Self::Indonesian => &id::TEXTS,
            Self::German => &de::TEXTS,
            Self::French => &fr::TEXTS,
            Self::Portuguese => &pt_br::TEXTS,
            Self::Arabic => &ar::TEXTS,
        }
    }

    /// A wait in words: seconds below two minutes, then minutes, then hours. Rounded outwards, so
    /// that the range stays true.
    pub fn wait(self, wait: Option<Wait>) -> String {
        let mut out = Vec::new();
        self.push_wait(&mut out, wait);
        String::from_utf8_lossy(&out).into_owned()
    }

    pub(super) fn push_wait(self, out: &mut Vec<u8>, wait: Option<Wait>) {
        let texts = self.texts();
        let Some(Wait { low, high }) = wait else {
            return out.extend_from_slice(texts.unknown.as_bytes());
        };
        let (forms, low, high) = match (low, high) {
            (_, ..120) => (texts.seconds, low / 5 * 5, high.div_ceil(5) * 5),
            (..7200, _) => (texts.minutes, low / 60, high.div_ceil(60)),
            _ => (texts.hours, low / 3600, high.div_ceil(3600)),
        };
        let [range, up_to, about] = texts.span;
        let pattern = match low {
            0 => up_to,
            low if low < high => range,
            _ => about,
        };
        for piece in pattern.split(['{', '}']) {
            match piece {
                "a" => push_number(out, low),
                "b" => self.push_counted(out, forms, high),
                text => out.extend_from_slice(text.as_bytes()),
            }
        }
    }

    /// A number with its unit, in the form that Unicode's plural rules of the language choose.
    fn push_counted(self, out: &mut Vec<u8>, forms: &[&str], number: u64) {
        let form = forms.get(PLURALS[self as usize].index(self, number)).copied().unwrap_or_default();
        for piece in form.split(['{', '}']) {
            match piece {
                "n" => push_number(out, number),
                text => out.extend_from_slice(text.as_bytes()),
            }
        }
    }

    /// A number with its groups of three digits set apart.
    pub(super) fn push_grouped(self, out: &mut Vec<u8>, number: u64) {
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(number);
        for (i, digit) in digits.bytes().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                out.extend_from_slice(self.texts().thousands.as_bytes());
            }
            out.push(digit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_the_unit_that_fits() {
        let say = |low, high| [Language::English, Language::Korean].map(|l| l.wait(Some(Wait { low, high })));
        assert_eq!(say(0, 7), ["less than 10 seconds", "10초 이내"]);
        assert_eq!(say(23, 41), ["about 20 to 45 seconds", "약 20~45초"]);
        assert_eq!(say(50, 120), ["less than 2 minutes", "2분 이내"]);
        assert_eq!(say(260, 400), ["about 4 to 7 minutes", "약 4~7분"]);
        assert_eq!(say(120, 120), ["about 2 minutes", "약 2분"]);
        assert_eq!(say(7_300, 14_000), ["about 2 to 4 hours", "약 2~4시간"]);
        assert_eq!(Language::English.wait(None), "Not known yet.");
    }

    /// What a range ends on is what its unit goes by.
    #[test]
    fn numbers_of_every_language_have_the_form_that_its_plural_rules_choose() {
        let counted = |language: Language, number| {
            let mut out = Vec::new();
            language.push_counted(&mut out, language.texts().minutes, number);
            String::from_utf8(out).expect("text")
        };
        let told = |language| [1, 2, 5, 11, 21].map(|number| counted(language, number));
        assert_eq!(told(Language::English), ["1 minute", "2 minutes", "5 minutes", "11 minutes", "21 minutes"]);
        assert_eq!(told(Language::Korean), ["1분", "2분", "5분", "11분", "21분"]);
        assert_eq!(told(Language::Arabic), ["دقيقة واحدة", "دقيقتين", "5 دقائق", "11 دقيقة", "21 دقيقة"]);
        assert_eq!(counted(Language::French, 0), "0 minute");
        assert_eq!(counted(Language::German, 0), "0 Minuten");
        for language in Language::ALL {
            let texts = language.texts();
            for forms in [texts.seconds, texts.minutes, texts.hours] {
                assert_eq!(forms.len(), texts.plurals.len(), "{language:?}");
            }
            if texts.plurals == ["other"] {
                // One form for all numbers, whatever category a release of the rules sets apart.
                continue;
            }
            let rules = PLURALS[language as usize].rules.as_ref().expect("rules");
            for number in 0..1_000 {
                let category = category(rules, number);
                assert!(texts.plurals.contains(&category), "{language:?} has no form for {number}: {category}");
            }
        }
    }

    /// Two languages may share a word, such as a sign or "Cookie"; a text that nobody translated is the same in full.
    #[test]
    fn every_text_is_written_in_every_language() {
        let english = serde_json::to_value(Language::English.texts()).expect("texts");
        let same_word = |language, name: &str| {
            matches!((language, name), (Language::Spanish, "error") | (Language::French, "minutes"))
        };
        for language in Language::ALL.into_iter().filter(|&language| language != Language::English) {
            let texts = serde_json::to_value(language.texts()).expect("texts");
            for (name, text) in english.as_object().expect("texts by name") {
                if matches!(name.as_str(), "thousands" | "plurals" | "place_unit" | "gate_unit")
                    || same_word(language, name)
                {
                    continue;
                }
                assert_ne!(&texts[name], text, "{language:?}: {name}");
                assert_eq!(
                    texts[name].to_string().matches("\"\"").count(),
                    usize::from(name == "as_of"),
                    "{language:?}: {name}"
                );
            }
        }
    }

    #[test]
    fn the_language_is_the_one_that_the_shopper_likes_best() {
        let pick = |accept| Language::pick(accept, None);
        assert_eq!(pick("en-US,en;q=0.9,ko;q=0.8"), Language::English);
        assert_eq!(pick("nl, KO-kr;q=0.5, en;q=0.4"), Language::Korean);
        assert_eq!(pick("ja,zh-TW;q=0.8"), Language::Japanese);
        assert_eq!(pick("zh-Hant-HK,en;q=0.8"), Language::ChineseTraditional);
        assert_eq!(pick("zh-Hans-SG"), Language::ChineseSimplified);
        assert_eq!(pick("pt-PT"), Language::Portuguese);
        assert_eq!(pick("en;q=nan,;;,=,-"), Language::English);
        assert_eq!(
            pick("nl,fi;q=0.8"),
            Language::English,
            "who reads none of them is told in the one that more can read"
        );
        assert_eq!(pick("*"), Language::Korean);
        assert_eq!(pick(""), Language::Korean);
        for set in Language::ALL {
            assert_eq!(Language::pick("nl, ko;q=0", Some(set)), set, "what the operator has set wins");
            assert_eq!(Language::pick("", Some(set)), set);
        }
    }

    #[test]
    fn texts_that_fill_slots_need_no_escaping() {
        for language in Language::ALL {
            let texts = language.texts();
            assert_eq!(Language::ALL[language as usize], language);
            let units = [&texts.span[..], texts.plurals, texts.seconds, texts.minutes, texts.hours];
            for text in units.into_iter().flatten().chain([&texts.unknown, &texts.thousands]) {
                assert!(!text.contains(['<', '>', '&', '"', '\'', '|', '\\']), "{text}");
            }
        }
    }

    #[test]
    fn large_numbers_are_grouped() {
        let grouped = |number| {
            let mut out = Vec::new();
            Language::English.push_grouped(&mut out, number);
            String::from_utf8(out).expect("digits")
        };
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
