//! BPF instructions (RFC 9669), as far as they jump or touch the stack.

const CLASS: u8 = 0x07;
const LOAD: u8 = 0x01;
const STORE: u8 = 0x02;
const STORE_REGISTER: u8 = 0x03;
const JUMP: u8 = 0x05;
const JUMP_32: u8 = 0x06;
const OPERATION: u8 = 0xf0;
const ALWAYS: u8 = 0x00;
const CALL: u8 = 0x80;
const EXIT: u8 = 0x90;
/// It takes the place of two.
const LOAD_64: u8 = 0x18;
const MOVE_REGISTER: u8 = 0xbf;
const ADD: u8 = 0x07;
const FRAME_POINTER: u8 = 10;
/// As a call's source register.
const OF_THIS_PROGRAM: u8 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    code: u8,
    destination: u8,
    source: u8,
    offset: i16,
    pub immediate: i32,
}

impl Instruction {
    /// Those of whole eight bytes.
    pub fn all(code: &[u8]) -> impl Iterator<Item = Self> {
        code.as_chunks().0.iter().map(|&[code, registers, o0, o1, i0, i1, i2, i3]| Self {
            code,
            destination: registers & 0x0f,
            source: registers >> 4,
            offset: i16::from_le_bytes([o0, o1]),
            immediate: i32::from_le_bytes([i0, i1, i2, i3]),
        })
    }

    fn class(&self) -> u8 {
        self.code & CLASS
    }

    fn jumps(&self) -> bool {
        [JUMP, JUMP_32].contains(&self.class())
    }

    /// Of this object, not of the kernel.
    pub fn calls_function(&self) -> bool {
        self.code == JUMP | CALL && self.source == OF_THIS_PROGRAM
    }

    /// The instructions that may come next, in the order in which the verifier follows them.
    fn next(&self, index: usize) -> Vec<usize> {
        let jump = |distance: i64| index.wrapping_add_signed((1 + distance) as isize);
        match (self.class(), self.code & OPERATION) {
            _ if self.code == LOAD_64 => vec![index + 2],
            (JUMP, EXIT) => vec![],
            (JUMP, ALWAYS) => vec![jump(self.offset.into())],
            (JUMP_32, ALWAYS) => vec![jump(self.immediate.into())],
            (JUMP | JUMP_32, operation) if operation != CALL => vec![index + 1, jump(self.offset.into())],
            _ => vec![index + 1],
        }
    }
}

/// Whether a walk as the verifier's, depth first, comes to an instruction that it is still below, without a jump.
pub fn falls_back(instructions: &[Instruction]) -> bool {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Seen {
        Never,
        Above,
        Done,
    }

    let mut seen = vec![Seen::Never; instructions.len()];
    let mut above: Vec<(usize, Vec<usize>)> = Vec::new();
    let mut found = Some(0);
    loop {
        if let Some(index) = found.take()
            && let Some(instruction) = instructions.get(index)
        {
            seen[index] = Seen::Above;
            let mut next = instruction.next(index);
            next.reverse();
            above.push((index, next));
        }
        let Some((index, next)) = above.last_mut() else { return false };
        match next.pop() {
            None => {
                seen[*index] = Seen::Done;
                above.pop();
            }
            Some(next) => match seen.get(next) {
                Some(Seen::Never) => found = Some(next),
                Some(Seen::Above) if !instructions[*index].jumps() => return true,
                _ => {}
            },
        }
    }
}

/// Bytes below the frame pointer that are touched.
pub fn stack(instructions: &[Instruction]) -> u64 {
    let by_access = instructions.iter().map(|instruction| {
        let base = match instruction.class() {
            LOAD => instruction.source,
            STORE | STORE_REGISTER => instruction.destination,
            _ => return 0,
        };
        if base == FRAME_POINTER { i32::from(instruction.offset) } else { 0 }
    });
    let by_address = instructions.windows(2).map(|pair| match pair {
        [copy, add]
            if copy.code == MOVE_REGISTER
                && copy.source == FRAME_POINTER
                && add.code == ADD
                && add.destination == copy.destination =>
        {
            add.immediate
        }
        _ => 0,
    });
    by_access.chain(by_address).min().unwrap_or(0).min(0).unsigned_abs().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: [u8; 8] = [0xb7, 0, 0, 0, 0, 0, 0, 0];
    const LEAVE: [u8; 8] = [0x95, 0, 0, 0, 0, 0, 0, 0];

    fn jump(code: u8, distance: i16) -> [u8; 8] {
        let [low, high] = distance.to_le_bytes();
        [code, 0, low, high, 0, 0, 0, 0]
    }

    fn program(code: &[[u8; 8]]) -> Vec<Instruction> {
        Instruction::all(code.as_flattened()).collect()
    }

    #[test]
    fn a_loop_that_jumps_to_its_beginning_does_not_fall_back() {
        assert!(!falls_back(&program(&[ZERO, jump(0x15, 2), ZERO, jump(0x05, -3), LEAVE])));
    }

    #[test]
    fn a_loop_whose_end_stands_before_its_beginning_falls_back() {
        // It is entered at the second zero; the first one is its end.
        assert!(falls_back(&program(&[jump(0x05, 1), ZERO, ZERO, jump(0x15, -3), LEAVE])));
    }

    #[test]
    fn ways_that_only_meet_do_not_fall_back() {
        assert!(!falls_back(&program(&[jump(0x15, 1), ZERO, ZERO, LEAVE])));
    }

    #[test]
    fn the_stack_is_what_lies_between_the_frame_pointer_and_the_furthest_access() {
        let store = |offset: i16| {
            let [low, high] = offset.to_le_bytes();
            [0x7b, FRAME_POINTER, low, high, 0, 0, 0, 0]
        };
        let address = [
            [MOVE_REGISTER, 2 | FRAME_POINTER << 4, 0, 0, 0, 0, 0, 0],
            [ADD, 2, 0, 0, 0xc0, 0xff, 0xff, 0xff],
        ];
        assert_eq!(stack(&program(&[ZERO, LEAVE])), 0);
        assert_eq!(stack(&program(&[store(-8), store(-40), LEAVE])), 40);
        assert_eq!(stack(&program(&[store(-8), address[0], address[1], LEAVE])), 64);
    }
}
