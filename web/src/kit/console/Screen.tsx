// SPDX-License-Identifier: Apache-2.0
// The screen by noVNC. Each connection needs a new ticket; a broken one is made again for as long as this is shown.
import { useEffect, useRef } from 'react'
import { ApiError, post, socketUrl } from '../../api/client'
import { t } from '../../texts'

export interface ScreenKeys { ctrlAltDel: () => void; fullScreen: () => void; picture: (name: string) => void }

const WAITS_MS = [500, 1000, 2000, 4000, 8000, 15000]

export function Screen({ vm, scale, onStatus, onKeys, firstTicket }: { vm: string; scale: boolean; onStatus: (text: string) => void; onKeys: (keys: ScreenKeys | null) => void; firstTicket?: string }) {
  const box = useRef<HTMLDivElement>(null)
  const rfb = useRef<any>(null)
  const scaled = useRef(scale) // as it is chosen by the time that a connection is made again
  scaled.current = scale
  useEffect(() => {
    let here = true
    let tries = 0
    let timer = 0
    let ticket = firstTicket
    const later = () => {
      if (here) timer = window.setTimeout(() => void connect(), WAITS_MS[Math.min(tries++, WAITS_MS.length - 1)])
    }
    const connect = async () => {
      onStatus(t('connecting'))
      try {
        const [{ default: RFB }, given] = await Promise.all([import('@novnc/novnc'), ticket ? { ticket } : post(`/vms/${vm}/console`, { kind: 'vnc' })])
        ticket = undefined
        if (!here || !box.current) return
        const made = new RFB(box.current, socketUrl(`/console?ticket=${encodeURIComponent(given.ticket)}`), { shared: true })
        rfb.current = made
        made.scaleViewport = scaled.current
        made.background = 'transparent'
        made.qualityLevel = 8
        made.addEventListener('connect', () => {
          tries = 0
          onStatus(t('console_connected'))
          made.focus()
          onKeys({
            ctrlAltDel: () => made.sendCtrlAltDel(), fullScreen: () => void box.current?.requestFullscreen().then(() => (navigator as any).keyboard?.lock?.()),
            picture: (name) => {
              const a = document.createElement('a')
              a.href = made.toDataURL('image/png')
              a.download = `${name}.png`
              a.click()
            },
          })
        })
        made.addEventListener('disconnect', () => {
          if (!here) return // another may stand in its place
          rfb.current = null
          onKeys(null)
          onStatus(t('console_lost'))
          later()
        })
      } catch (error) {
        if (!here) return
        onStatus(error instanceof ApiError ? error.message : t('console_lost'))
        later()
      }
    }
    void connect()
    return () => {
      here = false
      clearTimeout(timer)
      rfb.current?.disconnect()
      onKeys(null)
      onStatus('')
    }
  }, [vm])
  useEffect(() => {
    if (rfb.current) rfb.current.scaleViewport = scale
  }, [scale])
  return <div className="screenbox" ref={box} data-test="screen" />
}
