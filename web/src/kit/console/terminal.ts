// SPDX-License-Identifier: Apache-2.0
// A terminal's screen as data: what a guest writes to its serial line (text, cursor moves, erasing, colours, scrolling) becomes lines of cells.
// Enough of a VT220 for boot messages, shells, editors and installers. No drawing here, so that it is tested as it is.

export interface Cell { c: string; fg: number; bg: number; bold: boolean; inverse: boolean; underline: boolean }
type Pen = Omit<Cell, 'c'>

const BLANK: Pen = { fg: -1, bg: -1, bold: false, inverse: false, underline: false }
const KEEP = 2000
const GRAPHICS: Record<string, string> = { j: '┘', k: '┐', l: '┌', m: '└', n: '┼', q: '─', t: '├', u: '┤', v: '┴', w: '┬', x: '│', a: '▒', f: '°', g: '±', '~': '·', '`': '◆', o: '⎺', s: '⎽', '0': '█' }

export class Terminal {
  screen: Cell[][]
  /** Lines that have scrolled out at the top, oldest first. */
  past: Cell[][] = []
  x = 0
  y = 0
  cursorShown = true
  appKeys = false
  private pen: Pen = { ...BLANK }
  private saved = { x: 0, y: 0, pen: { ...BLANK } }
  private top = 0
  private bottom: number
  private state: 'text' | 'esc' | 'csi' | 'osc' | 'charset' | 'hash' = 'text'
  private args = ''
  private graphics = false
  private wraps = false
  private other: Cell[][] | null = null
  private utf8 = new TextDecoder('utf-8')
  /** What the terminal answers to questions of the guest. */
  onReply: (text: string) => void = () => {}

  constructor(public columns = 80, public rows = 24) {
    this.bottom = rows - 1
    this.screen = Array.from({ length: rows }, () => this.line())
  }

  private line(): Cell[] {
    return Array.from({ length: this.columns }, () => ({ c: ' ', ...BLANK, bg: this.pen.bg }))
  }

  resize(columns: number, rows: number) {
    for (const line of this.screen) {
      while (line.length < columns) line.push({ c: ' ', ...BLANK })
      line.length = columns
    }
    while (this.screen.length > rows) {
      if (this.y > 0) {
        this.past.push(this.screen.shift()!)
        this.y--
      } else this.screen.pop()
    }
    this.columns = columns
    while (this.screen.length < rows) this.screen.push(this.line())
    this.rows = rows
    this.top = 0
    this.bottom = rows - 1
    this.x = Math.min(this.x, columns - 1)
    this.y = Math.min(this.y, rows - 1)
  }

  write(bytes: Uint8Array | string) {
    const text = typeof bytes === 'string' ? bytes : this.utf8.decode(bytes, { stream: true })
    for (const c of text) this.take(c)
  }

  private take(c: string) {
    switch (this.state) {
      case 'text': return this.text(c)
      case 'esc': return this.escape(c)
      case 'csi': return this.csi(c)
      case 'osc':
        if (c === '\x07' || c === '\x9c') this.state = 'text'
        else if (c === '\x1b') this.state = 'hash'
        return
      case 'charset':
        this.graphics = c === '0'
        this.state = 'text'
        return
      case 'hash':
        this.state = 'text'
    }
  }

  private text(c: string) {
    switch (c) {
      case '\x1b': this.state = 'esc'; return
      case '\n': case '\x0b': case '\x0c': this.feed(); return
      case '\r': this.x = 0; this.wraps = false; return
      case '\b': this.x = Math.max(0, this.x - 1); this.wraps = false; return
      case '\t': this.x = Math.min(this.columns - 1, (this.x | 7) + 1); return
      case '\x0e': this.graphics = true; return
      case '\x0f': this.graphics = false; return
    }
    if (c < ' ' || c === '\x7f') return
    if (this.wraps) {
      this.x = 0
      this.feed()
      this.wraps = false
    }
    this.screen[this.y]![this.x] = { c: this.graphics ? GRAPHICS[c] ?? c : c, ...this.pen }
    if (this.x === this.columns - 1) this.wraps = true
    else this.x++
  }

  private feed() {
    if (this.y === this.bottom) this.scroll(1)
    else if (this.y < this.rows - 1) this.y++
  }

  private scroll(n: number) {
    for (; n > 0; n--) {
      const gone = this.screen.splice(this.top, 1)[0]!
      if (this.top === 0 && !this.other) {
        this.past.push(gone)
        if (this.past.length > KEEP) this.past.shift()
      }
      this.screen.splice(this.bottom, 0, this.line())
    }
    for (; n < 0; n++) {
      this.screen.splice(this.bottom, 1)
      this.screen.splice(this.top, 0, this.line())
    }
  }

  private escape(c: string) {
    this.state = 'text'
    switch (c) {
      case '[': this.args = ''; this.state = 'csi'; return
      case ']': case 'P': case '_': case '^': this.state = 'osc'; return
      case '(': case ')': this.state = 'charset'; return
      case '#': this.state = 'hash'; return
      case '7': this.saved = { x: this.x, y: this.y, pen: { ...this.pen } }; return
      case '8': this.restore(); return
      case 'D': this.feed(); return
      case 'E': this.x = 0; this.feed(); return
      case 'M': if (this.y === this.top) this.scroll(-1); else if (this.y > 0) this.y--; return
      case 'c': this.reset()
    }
  }

  private reset() {
    this.pen = { ...BLANK }
    this.top = 0
    this.bottom = this.rows - 1
    this.x = this.y = 0
    this.other = null
    this.screen = Array.from({ length: this.rows }, () => this.line())
  }

  private restore() {
    this.x = Math.min(this.saved.x, this.columns - 1)
    this.y = Math.min(this.saved.y, this.rows - 1)
    this.pen = { ...this.saved.pen }
  }

  private csi(c: string) {
    if (c < '@') {
      if (this.args.length < 64) this.args += c
      return
    }
    this.state = 'text'
    const own = /^[?>=!]/.test(this.args) ? this.args[0]! : ''
    const args = this.args.replace(/^[?>=!]/, '').split(/[;:]/).map((a) => (a === '' ? NaN : Number(a)))
    const arg = (i: number, absent = 1) => (Number.isNaN(args[i] ?? NaN) ? absent : args[i]!)
    const n = Math.max(1, arg(0))
    this.wraps = false
    const line = this.screen[this.y]!
    switch (c) {
      case 'A': this.y = Math.max(this.y >= this.top ? this.top : 0, this.y - n); return
      case 'B': case 'e': this.y = Math.min(this.y <= this.bottom ? this.bottom : this.rows - 1, this.y + n); return
      case 'C': case 'a': this.x = Math.min(this.columns - 1, this.x + n); return
      case 'D': this.x = Math.max(0, this.x - n); return
      case 'E': this.x = 0; this.y = Math.min(this.rows - 1, this.y + n); return
      case 'F': this.x = 0; this.y = Math.max(0, this.y - n); return
      case 'G': case '`': this.x = Math.min(this.columns, n) - 1; return
      case 'd': this.y = Math.min(this.rows, n) - 1; return
      case 'H': case 'f': this.y = Math.min(this.rows, Math.max(1, arg(0))) - 1; this.x = Math.min(this.columns, Math.max(1, arg(1))) - 1; return
      case 'J': this.erase(arg(0, 0)); return
      case 'K': this.wipe(line, arg(0, 0) === 0 ? this.x : 0, arg(0, 0) === 1 ? this.x + 1 : this.columns); return
      case 'X': this.wipe(line, this.x, Math.min(this.columns, this.x + n)); return
      case 'P': line.splice(this.x, n); while (line.length < this.columns) line.push({ c: ' ', ...BLANK, bg: this.pen.bg }); return
      case '@': for (let i = 0; i < Math.min(n, this.columns); i++) line.splice(this.x, 0, { c: ' ', ...BLANK, bg: this.pen.bg }); line.length = this.columns; return
      case 'L': this.within(() => this.scroll(-Math.min(n, this.rows))); return
      case 'M': this.within(() => this.scroll(Math.min(n, this.rows))); return
      case 'S': this.scroll(Math.min(n, this.rows)); return
      case 'T': this.scroll(-Math.min(n, this.rows)); return
      case 'm': this.colours(args); return
      case 'r': this.top = Math.min(this.rows, Math.max(1, arg(0))) - 1; this.bottom = Math.max(this.top, Math.min(this.rows, arg(1, this.rows)) - 1); this.x = 0; this.y = 0; return
      case 's': this.saved = { x: this.x, y: this.y, pen: { ...this.pen } }; return
      case 'u': this.restore(); return
      case 'n': if (arg(0, 0) === 6) this.onReply(`\x1b[${this.y + 1};${this.x + 1}R`); else if (arg(0, 0) === 5) this.onReply('\x1b[0n'); return
      case 'c': if (!own) this.onReply('\x1b[?62;1c'); return
      case 'h': case 'l': if (own === '?') for (const a of args) this.mode(a, c === 'h')
    }
  }

  /** From the cursor's line to the end of the scrolled part. */
  private within(act: () => void) {
    if (this.y < this.top || this.y > this.bottom) return
    const top = this.top
    this.top = this.y
    const past = this.past.length
    act()
    this.past.length = Math.min(this.past.length, past)
    this.top = top
  }

  private mode(n: number, on: boolean) {
    if (n === 25) this.cursorShown = on
    else if (n === 1) this.appKeys = on
    else if (n === 1049 || n === 47 || n === 1047) {
      if (on && !this.other) {
        this.other = this.screen
        this.saved = { x: this.x, y: this.y, pen: { ...this.pen } }
        this.screen = Array.from({ length: this.rows }, () => this.line())
      } else if (!on && this.other) {
        this.screen = this.other
        this.other = null
        this.resize(this.columns, this.rows)
        this.restore()
      }
    }
  }

  private wipe(line: Cell[], from: number, to: number) {
    for (let i = from; i < to; i++) line[i] = { c: ' ', ...BLANK, bg: this.pen.bg }
  }

  private erase(how: number) {
    if (how === 0 || how === 2) for (let y = how === 2 ? 0 : this.y + 1; y < this.rows; y++) this.wipe(this.screen[y]!, 0, this.columns)
    if (how === 0) this.wipe(this.screen[this.y]!, this.x, this.columns)
    if (how === 1) {
      for (let y = 0; y < this.y; y++) this.wipe(this.screen[y]!, 0, this.columns)
      this.wipe(this.screen[this.y]!, 0, this.x + 1)
    }
    if (how === 3) this.past = []
  }

  private colours(args: number[]) {
    for (let i = 0; i < args.length; i++) {
      const a = Number.isNaN(args[i]) ? 0 : args[i]!
      if (a === 0) this.pen = { ...BLANK }
      else if (a === 1) this.pen.bold = true
      else if (a === 4) this.pen.underline = true
      else if (a === 7) this.pen.inverse = true
      else if (a === 22) this.pen.bold = false
      else if (a === 24) this.pen.underline = false
      else if (a === 27) this.pen.inverse = false
      else if (a >= 30 && a <= 37) this.pen.fg = a - 30
      else if (a === 39) this.pen.fg = -1
      else if (a >= 40 && a <= 47) this.pen.bg = a - 40
      else if (a === 49) this.pen.bg = -1
      else if (a >= 90 && a <= 97) this.pen.fg = a - 82
      else if (a >= 100 && a <= 107) this.pen.bg = a - 92
      else if (a === 38 || a === 48) {
        const colour = args[i + 1] === 5 ? near(args[i + 2] ?? 0) : -1
        if (a === 38) this.pen.fg = colour
        else this.pen.bg = colour
        i += args[i + 1] === 5 ? 2 : 4
      }
    }
  }
}

/** One of 256 colours as the nearest of sixteen. */
function near(n: number): number {
  if (n < 16) return n
  if (n >= 232) return n < 238 ? 0 : n < 244 ? 8 : n < 250 ? 7 : 15
  const [r, g, b] = [Math.floor((n - 16) / 36), Math.floor(((n - 16) % 36) / 6), (n - 16) % 6]
  const high = Math.max(r, g, b) > 3 ? 8 : 0
  return high + (r > 2 ? 1 : 0) + (g > 2 ? 2 : 0) + (b > 2 ? 4 : 0)
}

const NAMED: Record<string, string> = { Enter: '\r', Backspace: '\x7f', Tab: '\t', Escape: '\x1b', Delete: '\x1b[3~', Insert: '\x1b[2~', PageUp: '\x1b[5~', PageDown: '\x1b[6~', F1: '\x1bOP', F2: '\x1bOQ', F3: '\x1bOR', F4: '\x1bOS', F5: '\x1b[15~', F6: '\x1b[17~', F7: '\x1b[18~', F8: '\x1b[19~', F9: '\x1b[20~', F10: '\x1b[21~', F11: '\x1b[23~', F12: '\x1b[24~' }
const ARROWS: Record<string, string> = { ArrowUp: 'A', ArrowDown: 'B', ArrowRight: 'C', ArrowLeft: 'D', Home: 'H', End: 'F' }

/** What a key sends; undefined: nothing. */
export function keyText(key: { key: string; ctrlKey: boolean; altKey: boolean; metaKey: boolean }, appKeys: boolean): string | undefined {
  if (key.metaKey) return undefined
  if (ARROWS[key.key]) return (appKeys ? '\x1bO' : '\x1b[') + ARROWS[key.key]
  if (NAMED[key.key]) return NAMED[key.key]
  if ([...key.key].length !== 1) return undefined
  if (key.ctrlKey) {
    const code = key.key.toUpperCase().charCodeAt(0)
    return code >= 64 && code <= 95 ? String.fromCharCode(code - 64) : key.key === ' ' ? '\0' : undefined
  }
  return key.altKey ? '\x1b' + key.key : key.key
}
