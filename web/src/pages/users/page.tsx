// SPDX-License-Identifier: Apache-2.0
import { registerForm, registerOffers } from '../../kit/form/shape'
import { part } from '../../kit/part'
import { rights } from './rights'

export function register() {
  registerForm('users', { first: ['name', 'kind', 'password', 'roles'], hide: (user) => (user.kind === 'service' ? ['password'] : []) })
  registerForm('api-tokens', { first: ['name', 'user', 'permissions', 'days'], made: part(() => import('./TokenMade')) })
  registerForm('identity-providers', { first: ['name', 'issuer', 'client_id', 'client_secret', 'create_users', 'roles'] })
  registerOffers('ApiToken', 'permissions', rights)
  registerOffers('Role', 'permissions', rights)
}
