// SPDX-License-Identifier: Apache-2.0
import { Button } from 'antd'
import { Icon } from '../kit/state/glyphs'
import { language, t } from '../texts'
import { setTheme, useTheme } from '../theme/theme'

export function switchLanguage() {
  localStorage.setItem('ws-language', language === 'zh' ? 'en' : 'zh')
  location.reload()
}

/** Language and theme. */
export function Preferences() {
  const theme = useTheme()
  return (
    <span className="preferences">
      <Button type="text" onClick={switchLanguage} data-test="language" lang={language === 'zh' ? 'en' : 'zh-CN'} icon={<Icon name="globe" />}>{language === 'zh' ? 'English' : '中文'}</Button>
      <Button type="text" aria-label={t(theme === 'dark' ? 'light' : 'dark')} title={t(theme === 'dark' ? 'light' : 'dark')} data-test="theme" icon={<Icon name={theme === 'dark' ? 'sun' : 'moon'} />} onClick={() => setTheme(theme === 'dark' ? 'light' : 'dark')} />
    </span>
  )
}
