"""All checks, a subject a module. The registry imports every module of this package."""
