// SPDX-License-Identifier: Apache-2.0
import { createRoot } from 'react-dom/client'
import './theme/generated/theme.css'
import './theme/frame.css'
import { configureClient } from './api/client'
import { loadContract } from './api/contract'
import { App } from './frame/App'
import { registerPages } from './pages'
import { loadTexts, preferredLanguage, t } from './texts'

const language = preferredLanguage()
await Promise.all([loadTexts(language), loadContract(language)])
configureClient({ language, unreachable: t('manager_away') })
registerPages()
createRoot(document.getElementById('root')!).render(<App />)
