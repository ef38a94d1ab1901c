// SPDX-License-Identifier: Apache-2.0
// A command or a token to copy.
import { useState } from 'react'
import { Button } from 'antd'
import { t } from '../texts'
import { Icon } from './state/glyphs'

export function Copied({ text, test }: { text: string; test: string }) {
  const [copied, setCopied] = useState(false)
  return (
    <div className="command">
      <code data-test={test}>{text}</code>
      <Button icon={<Icon name="copy" size={13} />} onClick={() => void navigator.clipboard?.writeText(text).then(() => setCopied(true))}>{copied ? t('copied') : t('copy')}</Button>
    </div>
  )
}
