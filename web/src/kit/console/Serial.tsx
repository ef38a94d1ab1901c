// SPDX-License-Identifier: Apache-2.0
// The serial line as a terminal.
import { useEffect, useRef, useState, type KeyboardEvent } from 'react'
import { ApiError, post, socketUrl } from '../../api/client'
import { t } from '../../texts'
import { keyText, Terminal, type Cell } from './terminal'

const WAITS_MS = [500, 1000, 2000, 4000, 8000, 15000]
const PAINT_MS = 30

/** Cells of one look, in one span. */
function runs(line: Cell[]): { text: string; look: string }[] {
  const out: { text: string; look: string }[] = []
  for (const cell of line) {
    const [fg, bg] = cell.inverse ? [cell.bg === -1 ? 'b' : cell.bg, cell.fg === -1 ? 'f' : cell.fg] : [cell.fg, cell.bg]
    const look = `${fg === -1 ? '' : `fg-${fg} `}${bg === -1 ? '' : `bg-${bg} `}${cell.bold ? 'bold ' : ''}${cell.underline ? 'underline' : ''}`
    const last = out.at(-1)
    if (last?.look === look) last.text += cell.c
    else out.push({ text: cell.c, look })
  }
  return out
}

export function Serial({ vm, onStatus }: { vm: string; onStatus: (text: string) => void }) {
  const [, paint] = useState(0)
  const terminal = useRef(new Terminal(80, 24))
  const socket = useRef<WebSocket | null>(null)
  const box = useRef<HTMLDivElement>(null)
  const painting = useRef(0)
  const send = (text: string) => socket.current?.readyState === WebSocket.OPEN && socket.current.send(new TextEncoder().encode(text))

  useEffect(() => {
    let here = true
    let tries = 0
    let timer = 0
    const draw = () => {
      if (painting.current) return
      painting.current = window.setTimeout(() => {
        painting.current = 0
        const el = box.current
        const atEnd = !el || el.scrollHeight - el.scrollTop - el.clientHeight < 40
        paint((n) => n + 1)
        if (atEnd) requestAnimationFrame(() => box.current?.scrollTo(0, box.current.scrollHeight))
      }, PAINT_MS)
    }
    const later = () => {
      if (here) timer = window.setTimeout(() => void connect(), WAITS_MS[Math.min(tries++, WAITS_MS.length - 1)])
    }
    const connect = async () => {
      onStatus(t('connecting'))
      try {
        const { ticket } = await post(`/vms/${vm}/console`, { kind: 'serial' })
        if (!here) return
        const made = new WebSocket(socketUrl(`/console?ticket=${encodeURIComponent(ticket)}`))
        made.binaryType = 'arraybuffer'
        socket.current = made
        made.onopen = () => {
          tries = 0
          onStatus(t('console_connected'))
          box.current?.focus()
        }
        made.onmessage = (event) => {
          terminal.current.write(typeof event.data === 'string' ? event.data : new Uint8Array(event.data))
          draw()
        }
        made.onclose = () => {
          if (!here) return // another may stand in its place
          socket.current = null
          onStatus(t('console_lost'))
          later()
        }
      } catch (error) {
        if (!here) return
        onStatus(error instanceof ApiError ? error.message : t('console_lost'))
        later()
      }
    }
    terminal.current.onReply = send
    void connect()
    return () => {
      here = false
      clearTimeout(timer)
      clearTimeout(painting.current)
      socket.current?.close()
      onStatus('')
    }
  }, [vm])

  const press = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing || (event.ctrlKey && event.shiftKey)) return
    const text = keyText(event, terminal.current.appKeys)
    if (text === undefined) return
    event.preventDefault()
    event.stopPropagation()
    send(text)
  }
  const { past, screen, x, y, cursorShown } = terminal.current
  const lines = past.length + screen.length
  return (
    <div className="serial" ref={box} tabIndex={0} role="textbox" aria-multiline aria-label={t('serial')} onKeyDown={press} onPaste={(e) => send(e.clipboardData.getData('text').replace(/\r?\n/g, '\r'))} data-test="serial">
      {[...past, ...screen].map((line, i) => {
        const cursor = cursorShown && i === past.length + y ? x : -1
        if (cursor < 0) return <div key={lines - i}>{runs(line).map((run, j) => <span key={j} className={run.look}>{run.text}</span>)}</div>
        return (
          <div key={lines - i}>
            {runs(line.slice(0, cursor)).map((run, j) => <span key={j} className={run.look}>{run.text}</span>)}
            <span className="cursor">{line[cursor]?.c}</span>
            {runs(line.slice(cursor + 1)).map((run, j) => <span key={`e${j}`} className={run.look}>{run.text}</span>)}
          </div>
        )
      })}
    </div>
  )
}
