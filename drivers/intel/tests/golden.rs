//! For the register tables' tests: a table against a second, separately written transcription, and
//! against itself.

use std::collections::HashMap;

use crate::mmio::RegMeta;

/// Name, offset of the first element, offset of the last, elements.
pub(crate) type Line = (&'static str, u32, u32, u32);
/// Register, field, mask.
pub(crate) type Mask = (&'static str, &'static str, u32);

/// A chip's table.
#[derive(Debug)]
pub(crate) struct Table(pub(crate) Vec<&'static RegMeta>);

impl Table {
    #[track_caller]
    pub(crate) fn find(&self, name: &str) -> &'static RegMeta {
        let mut all = self.0.iter();
        all.find(|r| r.name == name).unwrap_or_else(|| panic!("{name} is not in the table"))
    }

    pub(crate) fn offsets_agree(&self, golden: &[Line]) {
        for (name, first, last, count) in golden {
            let r = self.find(name);
            assert_eq!(r.offset_of(0), *first, "{name}: first");
            assert_eq!(r.count, *count, "{name}: elements");
            assert_eq!(r.offset_of(count - 1), *last, "{name}: last");
        }
        for r in &self.0 {
            assert!(golden.iter().any(|g| g.0 == r.name), "{} has no golden line", r.name);
        }
        assert_eq!(golden.len(), self.0.len(), "a register is listed twice");
    }

    pub(crate) fn masks_agree(&self, golden: &[Mask]) {
        for (register, field, mask) in golden {
            let f = self.find(register).fields.iter().find(|f| f.name == *field);
            let f = f.unwrap_or_else(|| panic!("{register}.{field} is missing"));
            assert_eq!(f.mask(), *mask, "{register}.{field}");
        }
    }

    pub(crate) fn no_two_share_an_offset(&self, bar_len: u32) {
        let mut owner = HashMap::new();
        for r in &self.0 {
            for i in 0..r.count {
                let at = r.offset_of(i);
                assert!(at.is_multiple_of(4) && at < bar_len, "{}[{i}] at {at:#x}", r.name);
                if let Some(other) = owner.insert(at, r.name) {
                    panic!("{}[{i}] and {other} are both at {at:#x}", r.name);
                }
            }
        }
    }

    pub(crate) fn fields_fit(&self) {
        for r in &self.0 {
            let mut seen = 0;
            for f in r.fields {
                assert!(f.lo <= f.hi && f.hi < 32, "{}.{}", r.name, f.name);
                assert_eq!(seen & f.mask(), 0, "{}.{} overlaps another field", r.name, f.name);
                seen |= f.mask();
            }
        }
    }

    pub(crate) fn aliases_fit(&self, aliases: &[(&str, &str)]) {
        for (alias, real) in aliases {
            let (a, r) = (self.find(alias), self.find(real));
            assert!(a.count <= r.count && a.access == r.access && a.reset == r.reset, "{alias}");
        }
        let named = self.0.iter().filter(|r| r.name.ends_with("_ALIAS")).count();
        assert_eq!(named, aliases.len(), "an alias is not in the list, or has another name");
    }
}
