// SPDX-License-Identifier: Apache-2.0
// An error for people: what failed on which object, why, what to do, and the number by which it can be found again.
import { Component, useState, type ReactNode } from 'react'
import { Button } from 'antd'
import { ApiError } from '../../api/client'
import { failure, typeOf } from '../../api/contract'
import { phrase } from '../../api/phrases'
import { t } from '../../texts'
import { Glyph, Icon } from '../state/glyphs'

export interface Told { message: string; hint?: string; cause?: string; requestId?: string; code?: string; field?: string }

/** What the server no longer has: it is a newer version than this page. */
const isStale = (error: unknown) => error instanceof Error && /dynamically imported module|Importing a module script failed|Unable to preload|404/.test(error.message)

export function tell(error: unknown): Told {
  if (error instanceof ApiError) return { message: error.message, hint: error.code === 'unauthenticated' ? undefined : error.hint, cause: error.cause_, requestId: error.requestId, code: error.code, field: error.field }
  if (isStale(error)) return { message: t('new_version'), cause: (error as Error).message }
  return { message: error instanceof Error ? error.message : String(error) }
}

/** An error as a task keeps it. */
export function tellFailure(kept: any, requestId?: string): Told {
  return { ...failure(kept.code, { ...kept.params, field: kept.field }), cause: kept.cause && phrase(kept.cause), code: kept.code, field: kept.field, requestId }
}

export function ErrorBox({ error, what, actions }: { error: Told; what?: string; actions?: ReactNode }) {
  const [copied, setCopied] = useState(false)
  const text = [what, error.message, error.cause, error.hint, error.code && `${t('error_code')}: ${error.code}`, error.requestId && `${t('request_id')}: ${error.requestId}`].filter(Boolean).join('\n')
  return (
    <div className="errorbox" role="alert">
      <Glyph name="octagon" colour="bad" />
      <div className="grow">
        {what && <div className="what">{what}</div>}
        <div dir="auto">{error.message}</div>
        {error.cause && error.cause !== error.message && <div className="cause" dir="auto">{error.cause}</div>}
        {error.hint && <div className="hint" dir="auto">{error.hint}</div>}
        <div className="meta">
          {error.requestId && <span className="mono">{t('request_id')} {error.requestId}</span>}
          <Button size="small" type="text" icon={<Icon name="copy" size={14} />} onClick={() => void navigator.clipboard?.writeText(text).then(() => setCopied(true))}>
            {copied ? t('copied') : t('copy')}
          </Button>
          {actions}
        </div>
      </div>
    </div>
  )
}

/** One broken card does not blank the page, a broken dialog not the page behind it. */
export class Fence extends Component<{ children: ReactNode; resetKey?: string; frame?: (told: ReactNode) => ReactNode }, { error?: Error; key?: string }> {
  override state: { error?: Error; key?: string } = { key: this.props.resetKey }
  static getDerivedStateFromError(error: Error) {
    return { error }
  }
  static getDerivedStateFromProps(props: { resetKey?: string }, state: { key?: string }) {
    return props.resetKey === state.key ? null : { error: undefined, key: props.resetKey }
  }
  override render() {
    const { error } = this.state
    if (!error) return this.props.children
    const stale = isStale(error)
    const told = (
      <ErrorBox
        what={stale ? undefined : t('part_broke')}
        error={tell(error)}
        actions={<Button size="small" onClick={() => (stale ? location.reload() : this.setState({ error: undefined }))}>{stale ? t('reload') : t('try_again')}</Button>}
      />
    )
    return this.props.frame ? this.props.frame(told) : <div className="pad">{told}</div>
  }
}

/** In place of an object that is not there. */
export function Missing({ id, error }: { id: string; error?: ApiError }) {
  return <div className="pad"><ErrorBox error={error ? tell(error) : { message: t('gone', { id }) }} what={typeOf(id) ? undefined : t('no_such_page')} /></div>
}
