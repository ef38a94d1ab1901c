// SPDX-License-Identifier: Apache-2.0
// Settings that few need.
import { useState, type ReactNode } from 'react'
import { t } from '../../texts'
import { Icon } from '../state/glyphs'

export function Folded({ children }: { children: ReactNode }) {
  const [open, setOpen] = useState(false)
  return (
    <>
      <button type="button" className="grouphead" aria-expanded={open} onClick={() => setOpen(!open)}><Icon name={open ? 'down' : 'right'} size={12} /> {t('more_settings')}</button>
      {open && children}
    </>
  )
}
